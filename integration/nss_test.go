//go:build linux

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// nssModule is the code of a source for nsswitch.conf(5) that knows one name.
const nssModule = `
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <nss.h>
#include <stdint.h>
#include <string.h>

struct answer { char *aliases[1]; char *addresses[2]; struct in_addr address; };

enum nss_status _nss_lab_gethostbyname2_r(const char *name, int family, struct hostent *host,
		char *buffer, size_t size, int *error, int *host_error)
{
	struct answer *a = (struct answer *)(((uintptr_t)buffer + 15) & ~(uintptr_t)15);
	if (strcmp(name, "printer") || family != AF_INET) {
		*error = ENOENT;
		*host_error = HOST_NOT_FOUND;
		return NSS_STATUS_NOTFOUND;
	}
	if (size < sizeof *a + 16) {
		*error = ERANGE;
		*host_error = NETDB_INTERNAL;
		return NSS_STATUS_TRYAGAIN;
	}
	inet_pton(AF_INET, ADDRESS, &a->address);
	a->aliases[0] = a->addresses[1] = NULL;
	a->addresses[0] = (char *)&a->address;
	host->h_name = (char *)name;
	host->h_aliases = a->aliases;
	host->h_addrtype = AF_INET;
	host->h_length = sizeof a->address;
	host->h_addr_list = a->addresses;
	return NSS_STATUS_SUCCESS;
}
`

// A static program itself knows only /etc/hosts and DNS. It still finds names that only another
// source of the system has.
func TestANameThatOnlyNSSKnows(t *testing.T) {
	t.Parallel()
	lab.Require(t)
	key := lab.NewClientKey(t)
	target := start(t, lab.Host{Name: "target", SSHD: &lab.SSHD{}, Users: []lab.User{{Name: "carol", Keys: []string{key.Authorized}}}})
	dir := t.TempDir()
	source, module := filepath.Join(dir, "lab.c"), filepath.Join(dir, "libnss_lab.so.2")
	if err := os.WriteFile(source, []byte(nssModule), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-shared", "-fPIC", `-DADDRESS="`+target.IP()+`"`, "-o", module, source).CombinedOutput(); err != nil {
		t.Fatalf("the module could not be built: %v: %s", err, out)
	}
	client := start(t, lab.Host{
		Name: "client", Users: []lab.User{{Name: "me"}}, Binds: []string{module + ":/usr/lib/libnss_lab.so.2:ro"},
		Files: map[string]string{"/etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files lab\n",
			// This server does not answer, and nsswitch.conf does not name DNS.
			"/etc/resolv.conf": "nameserver 10.77.255.254\noptions timeout:30 attempts:3\n"},
		// The resolver of a program without cgo, whether this test has cgo or not.
		Env: map[string]string{"GODEBUG": "netdns=go"},
	})
	if out, err := client.Exec(t.Context(), "getent", "ahosts", "printer"); err != nil || !strings.Contains(out, target.IP()) {
		t.Fatalf("the module resolves printer to %q, error %v, want %s", out, err, target.IP())
	}
	me := enter(t, master(t, nil), client, "me")
	hop := ssh.Login{Host: "printer", User: "carol", Keys: []connect.Secret{connect.Secret(key.Private)}, HostKeys: connect.InsecureIgnoreHostKeys}
	began := time.Now()
	n, err := me.Connect(t.Context(), hop)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if out, err := n.Command(t.Context(), "hostname").Output(); err != nil || strings.TrimSpace(string(out)) != "target" {
		t.Errorf("hostname printed %q, %v, want target", out, err)
	}
	hop.Host = "nosuch"
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("the connect took %v, want at most 30s: it has asked DNS, which nsswitch.conf does not name", took)
	}
	if _, err := me.Connect(t.Context(), hop); err == nil || !strings.Contains(err.Error(), "getent does not know it either") {
		t.Errorf("connecting to an unknown name: error %v, want one that says that getent does not know it", err)
	}
}
