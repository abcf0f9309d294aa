//go:build linux

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// TestFiveHops goes over ssh to a host, through sudo, into a new container, into a
// tree within that, and there becomes somebody else. Then it goes that way with a
// wrong password at the fourth hop, and finds the first three still of use.
func TestFiveHops(t *testing.T) {
	lab.Require(t)
	key := lab.NewClientKey(t)
	// Within the container are the tree and one more below it, and a su that
	// may change users.
	const within = `set -e; t=/srv/tree
rm -f $t/bin/su; cp $t/bin/busybox $t/bin/su; chmod 4755 $t/bin/su
hash=$(openssl passwd -6 -salt abc "$ROOT_PASSWORD")
echo "root:$hash:19000:0:99999:7:::" >$t/etc/shadow; echo "app:*:19000:0:99999:7:::" >>$t/etc/shadow; chmod 600 $t/etc/shadow
mkdir /srv/inner; cp -a $t/. /srv/inner; echo inner >/srv/inner/etc/place; mv /srv/inner $t/inner
`
	host := start(t, lab.Host{
		Name: "far", Cgroups: true, SSHD: &lab.SSHD{},
		Users:   []lab.User{{Name: "deploy", Password: rightPassword, Keys: []string{key.Authorized}}},
		Sudoers: "deploy ALL=(ALL) ALL",
		Setup:   []string{withTree(t), `ROOT_PASSWORD="` + rootPassword + `"` + "\n" + within, podmanSetup},
	})
	before := look(host)
	log, logged := newJournal(t)
	self := master(t, &contexts.Config{Log: log})
	ssh := login(t, self, host, "deploy", key)
	root := child(t, ssh, connect.Sudo{Password: connect.Secret(rightPassword)})
	const quickly = "--env=GORACE=" + quickEnd

	// The container's root may mount the /proc that the inner tree needs.
	box := child(t, root, connect.Podman{Image: "base", Args: []string{quickly, "--cap-add=SYS_ADMIN"}})
	if out, err := run.Call(t.Context(), box, []string{"mount", "-t", "proc", "proc", "/inner/proc"}); err != nil {
		t.Fatal(out, err)
	}
	tree := child(t, box, connect.Chroot{Dir: "/inner"})
	leaf := child(t, tree, connect.Su{User: "app"})
	path := fmt.Sprintf("ssh:deploy@%s/sudo:root/podman-run:base/chroot:_inner/su:app", host.IP())
	if id := who(t, leaf); id.UID != 3000 || id.Path != path || leaf.String() != path {
		t.Errorf("%+v", id)
	}
	if place, err := readFile.Call(t.Context(), leaf, "/etc/place"); err != nil || place != "inner\n" {
		t.Errorf("%q, %v", place, err)
	}
	linkIsClean(t, leaf)

	// Somebody else in another container has to give a password.
	other := child(t, root, connect.Podman{Image: "base", User: "app", Args: []string{quickly}})
	err := refused(t, other, connect.Su{Password: connect.Secret(wrongPassword)}, connect.ErrPassword, 20*time.Second)
	if want := fmt.Sprintf("ssh:deploy@%s/sudo:root/podman-run:app@base/su:root", host.IP()); !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not name %s", err, want)
	}
	for _, n := range []*contexts.Node{ssh, root, other} {
		linkIsClean(t, n)
	}
	if id := who(t, child(t, other, connect.Su{Password: connect.Secret(rootPassword)})); id.UID != 0 {
		t.Errorf("%+v", id)
	}

	if err := ssh.Close(); err != nil {
		t.Error(err)
	}
	before.quiet(t, 10*time.Second)
	onlyContainers(t, host, "podman")
	for _, secret := range []string{rightPassword, rootPassword, wrongPassword} {
		withholds(t, secret, logged.String(), err.Error())
	}
}
