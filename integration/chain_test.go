//go:build linux

package integration

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/connect/container"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// TestFiveHops goes over ssh to a host, through sudo, into a new container, by chroot into a
// directory of the container, and there by su to another user. In another container a wrong
// password refuses the fourth hop, and the first three contexts can still be used.
func TestFiveHops(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	key := lab.NewClientKey(t)
	// The container has the root file system of a lab tree and another one below it, with a
	// su that may change users.
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
	root := child(t, ssh, become.Sudo{Password: connect.Secret(rightPassword)})
	const quickly = "--env=GORACE=" + quickEnd

	// The container's root may mount what the inner tree needs.
	const furnish = "mount -t proc proc /inner/proc && mkdir /inner/dev/pts && ln -s pts/ptmx /inner/dev/ptmx && mount -t devpts -o newinstance,ptmxmode=666 devpts /inner/dev/pts"
	box := child(t, root, container.Podman{Image: "base", Args: []string{quickly, "--cap-add=SYS_ADMIN"}})
	if out, err := run.Call(t.Context(), box, []string{"sh", "-c", furnish}); err != nil {
		t.Fatal(out, err)
	}
	tree := child(t, box, container.Chroot{Dir: "/inner"})
	leaf := child(t, tree, become.Su{User: "app"})
	path := fmt.Sprintf("ssh:deploy@%s/sudo:root/podman-run:base/chroot:_inner/su:app", host.IP())
	if id := who(t, leaf); id.UID != 3000 || id.Path != path || leaf.String() != path {
		t.Errorf("the leaf is %v, %+v, want uid 3000 at %s", leaf, id, path)
	}
	if place, err := readFile.Call(t.Context(), leaf, "/etc/place"); err != nil || place != "inner\n" {
		t.Errorf("/etc/place has %q, %v, want inner", place, err)
	}
	linkIsClean(t, leaf)
	fileArrives(t, leaf)
	terminalWorks(t, leaf)
	portIsForwarded(t, leaf)

	// Another user, in another container, has to give a password.
	other := child(t, root, container.Podman{Image: "base", User: "app", Args: []string{quickly}})
	err := refused(t, other, become.Su{Password: connect.Secret(wrongPassword)}, connect.ErrPassword, 20*time.Second)
	if want := fmt.Sprintf("ssh:deploy@%s/sudo:root/podman-run:app@base/su:root", host.IP()); !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not name %s", err, want)
	}
	for _, n := range []*contexts.Node{ssh, root, other} {
		linkIsClean(t, n)
	}
	if id := who(t, child(t, other, become.Su{Password: connect.Secret(rootPassword)})); id.UID != 0 {
		t.Errorf("the context is %+v, want root", id)
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

// fileArrives copies a file of 2.5 MB to the context, and reads it there.
func fileArrives(t *testing.T, n *contexts.Node) {
	t.Helper()
	content := strings.Repeat("all that is written here\n", 100_000)
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
	res, err := files.Put(t.Context(), n, name, "/tmp/file", nil)
	if err != nil || res.Size != int64(len(content)) {
		t.Fatalf("the copy ended with %+v, %v, want %d bytes", res, err, len(content))
	}
	if got, err := readFile.Call(t.Context(), n, "/tmp/file"); got != content {
		t.Errorf("%d bytes arrived, error %v, want the %d of the file", len(got), err, len(content))
	}
}

// terminalWorks runs a program on a terminal.
func terminalWorks(t *testing.T, n *contexts.Node) {
	t.Helper()
	cmd := n.Command(t.Context(), "sh", "-c", "tty >/dev/null && stty size && read answer && echo got $answer")
	cmd.Pty = &contexts.Pty{Rows: 33, Cols: 77}
	cmd.Stdin = strings.NewReader("yes\n")
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "33 77") || !strings.Contains(string(out), "got yes") {
		t.Errorf("the command printed %q, %v, want 33 77 and got yes", out, err)
	}
}

// portIsForwarded opens a port at the context, and dials it from the context.
func portIsForwarded(t *testing.T, n *contexts.Node) {
	t.Helper()
	ln, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.Copy(c, c)
	}()
	c, err := n.DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const text = "there and back"
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if back, err := io.ReadAll(c); string(back) != text {
		t.Errorf("%q came back, %v, want %q", back, err, text)
	}
}
