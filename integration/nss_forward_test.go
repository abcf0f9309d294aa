//go:build linux

package integration

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// knowPrinter gives hosts a source of names in which printer is the host itself.
func knowPrinter(t *testing.T, hosts ...*lab.Running) {
	t.Helper()
	dir := t.TempDir()
	source, module := filepath.Join(dir, "lab.c"), filepath.Join(dir, "module")
	if err := os.WriteFile(source, []byte(nssModule), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-shared", "-fPIC", `-DADDRESS="127.0.0.1"`, "-o", module, source).CombinedOutput(); err != nil {
		t.Fatalf("the module could not be built: %v: %s", err, out)
	}
	text, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range hosts {
		cmd := host.Command(t.Context(), "sh", "-euc", `cat >/usr/lib/libnss_lab.so.2
			printf 'passwd: files\ngroup: files\nshadow: files\nhosts: files lab\n' >/etc/nsswitch.conf
			getent ahosts printer`)
		var out bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), &out, &out
		if err := cmd.Run(); err != nil || !strings.Contains(out.String(), "127.0.0.1") {
			t.Fatalf("on %s the module resolves printer to %s, error %v, want 127.0.0.1", host.Name(), &out, err)
		}
	}
}

// As with ssh, a forwarding may lead to a name that only a module of NSS knows. The context, the
// command line, or the shim dials it.
func TestForwardingsToANameThatOnlyNSSKnows(t *testing.T) {
	t.Parallel()
	there := contentOf(1000)
	o := newOffice(t, map[string]string{"/srv/there": string(there)})
	here := o.sources(t)
	knowPrinter(t, o.desk, o.web)
	serveHTTP(t, o.web, "8000", "/srv")
	serveHTTP(t, o.desk, "8001", "/srv")

	f := o.forward(t, 5, "forward", o.path, "-L", "0:printer:8000", "-R", "0:printer:8001", "-D", "0", "-R", "0", "-L", "0:nosuch:8000")
	curl(t, o.desk, there, "http://"+f.addrs[0]+"/there")
	curl(t, o.web, here, "http://"+f.addrs[1]+"/big")
	curl(t, o.desk, there, "--socks5-hostname", f.addrs[2], "http://printer:8000/there")
	curl(t, o.desk, there, "--socks4a", f.addrs[2], "http://printer:8000/there")
	curl(t, o.web, here, "--socks5-hostname", f.addrs[3], "http://printer:8001/big")
	if out, err := o.desk.Exec(t.Context(), "curl", "-sS", "http://"+f.addrs[4]); err == nil {
		t.Errorf("curl by the forwarding to nosuch succeeds: %s, want an error, since no such host exists", out)
	}
	eventually(t, patience, "the message that the name nosuch is unknown", func() bool {
		return strings.Contains(f.err.String(), "lookup nosuch") && strings.Contains(f.err.String(), "getent does not know it either")
	})

	copied := o.desk.Command(t.Context(), "tee", "/srv/same")
	copied.Stdin = bytes.NewReader(there)
	if err := copied.Run(); err != nil {
		t.Fatal(err)
	}
	got := finish(t, o.with(t.Context(), behindSudo, "bash", `
		ssh -f -N -M -S /run/s -L 7020:printer:8000 -R 7009:printer:8001 -D 7003 web
		curl -sS --fail http://localhost:7020/there | cmp - /srv/same
		curl -sS --fail --socks5-hostname localhost:7003 http://printer:8000/there | cmp - /srv/same
		ssh -n web curl -sS --fail http://localhost:7009/big | cmp - /srv/big
		printf 'GET /there HTTP/1.0\r\n\r\n' | ssh -W printer:8000 web | tail -c 1000 | cmp - /srv/same
		ssh -S /run/s -O exit web`))
	if got.status != 0 || got.out != "" || strings.Contains(got.err, "lookup") {
		t.Errorf("the script with the shim ended with %+v, want status 0, no output, and no failed lookup", got)
	}
}
