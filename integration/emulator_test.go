//go:build linux

package integration

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect/container"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

var architecture = contexts.NewFunc("lab.architecture", func(context.Context, struct{}) (string, error) {
	return runtime.GOARCH, nil
})

// makeForeignTree makes a root file system of another architecture from its
// busybox.
const makeForeignTree = `set -e; t=/srv/foreign
mkdir -p $t/bin $t/proc $t/dev $t/tmp $t/etc
cp /srv/busybox $t/bin/busybox
for x in sh env id uname stat gzip sha256sum head tee cat chmod rm kill sleep setsid chroot; do ln $t/bin/busybox $t/bin/$x; done
echo foreign >$t/etc/place
`

// emulate has the kernel execute programs for arm64 by the emulator, with the magic
// and the flags of Debian's /usr/lib/binfmt.d/qemu-aarch64.conf. The instance of
// binfmt_misc is this user namespace's own (Linux 6.7), so the machine does not
// change.
const emulate = `set -e
mount -t binfmt_misc none /mnt
cat /usr/lib/binfmt.d/qemu-aarch64.conf >/mnt/register
mount --rbind /dev /srv/foreign/dev
`

// foreignContainer enters a new container of the foreign tree.
var foreignContainer = local.Exec{Name: "container", Argv: []string{
	"unshare", "-m", "-p", "-f", "--mount-proc=/srv/foreign/proc", "chroot", "/srv/foreign",
}}

// onEmulator leads to a context on the host from where foreignContainer works.
func onEmulator(t *testing.T, host *lab.Running, cfg *contexts.Config) (self *contexts.Node, line []*contexts.Node) {
	t.Helper()
	self = master(t, cfg)
	root := enter(t, self, host, "")
	at := child(t, root, container.Unshare{Namespaces: container.Namespaces{User: true, Mount: true}})
	if out, err := run.Call(t.Context(), at, []string{"sh", "-c", emulate}); err != nil {
		t.Fatal(err, out)
	}
	return self, []*contexts.Node{root, at}
}

// A container of another architecture gets an image of its own from the master,
// and makes its children of that.
func TestForeignContainer(t *testing.T) {
	lab.Require(t)
	if runtime.GOARCH == "arm64" {
		t.Skip("arm64 is what is emulated here")
	}
	busybox := lab.ForeignBusybox(t, "arm64")
	host := start(t, lab.Host{Binds: []string{busybox + ":/srv/busybox:ro"}, Setup: []string{makeForeignTree}})
	// The toolchain keeps its own cache; ours is to be empty.
	goCache := goCommand(t, "env", "GOCACHE")
	cache := t.TempDir()
	t.Setenv("GOCACHE", strings.TrimSpace(goCache))
	t.Setenv("XDG_CACHE_HOME", cache)

	t.Run("missing", func(t *testing.T) {
		_, line := onEmulator(t, host, &contexts.Config{NoBuild: true})
		err := refused(t, line[1], foreignContainer, contexts.ErrNoImage, patience)
		if !strings.Contains(err.Error(), `"linux_arm64" in Config.Images`) {
			t.Errorf("%q does not say what is missing", err)
		}
		who(t, line[1])
	})
	t.Run("built", func(t *testing.T) {
		self, line := onEmulator(t, host, nil)
		inForeignContainer(t, host, self, line)
	})
	t.Run("supplied", func(t *testing.T) {
		found, err := filepath.Glob(cache + "/mitosis/images/*/linux_arm64")
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		images := os.DirFS(filepath.Dir(found[0]))
		self, line := onEmulator(t, host, &contexts.Config{NoBuild: true, Images: images})
		inForeignContainer(t, host, self, line)
	})
}

// inForeignContainer connects a container behind line, and the container with
// itself in each way that there is.
func inForeignContainer(t *testing.T, host *lab.Running, self *contexts.Node, line []*contexts.Node) {
	is := func(n *contexts.Node) {
		t.Helper()
		if got, err := architecture.Call(t.Context(), n, struct{}{}); err != nil || got != "arm64" {
			t.Errorf("%v runs on %q, %v, want arm64", n, got, err)
		}
		if place, err := readFile.Call(t.Context(), n, "/etc/place"); err != nil || place != "foreign\n" {
			t.Errorf("/etc/place of %v has %q, %v, want foreign", n, place, err)
		}
	}
	before := look(host)
	sent := linkBytes(t, self, line...)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // it may be built
	defer cancel()
	c, err := line[1].Connect(ctx, foreignContainer)
	if err != nil {
		t.Fatal(err)
	}
	is(c)
	linkIsClean(t, c)
	// The image has crossed each link once.
	const image = 1 << 20 // is less than any has when it is packed
	for i, more := range since(sent, linkBytes(t, self, line...)) {
		t.Logf("%d bytes were sent to %v for a foreign child", more, line[i])
		if more < image || more > 16*image {
			t.Errorf("%d bytes were sent to %v for a foreign child", more, line[i])
		}
	}

	line = append(line, c)
	sent = linkBytes(t, self, line...)
	start := time.Now()
	same := child(t, c, local.Child{})
	t.Logf("a child of its own executable after %v", time.Since(start))
	byImage := child(t, c, local.Exec{Name: "image", Argv: []string{"/bin/env"}})
	byName := child(t, c, container.Chroot{Dir: "/"}) // through /proc
	for _, n := range []*contexts.Node{same, byImage, byName} {
		is(n)
		is(child(t, n, local.Child{}))
	}
	for i, more := range since(sent, linkBytes(t, self, line...)) {
		t.Logf("%d bytes were sent to %v for six more", more, line[i])
		if more > 32<<10 {
			t.Errorf("%d bytes were sent to %v for children of an executable that is there", more, line[i])
		}
	}

	// A guard does as it does elsewhere: it ends the processes that a killed worker leaves,
	// daemons too, which an emulator does not give to it.
	stubborn := []string{"setsid", "sh", "-c", "trap '' TERM HUP; while :; do sleep 1000; done"}
	pid, err := spawn.Call(t.Context(), byImage, stubborn)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := run.Call(t.Context(), c, []string{"kill", "-9", itoa(who(t, byImage).PID)}); err != nil {
		t.Fatal(err, out)
	}
	select {
	case <-byImage.Done():
	case <-time.After(patience):
		t.Fatal("the loss is not noticed")
	}
	eventually(t, 5*time.Second, "what a killed worker started is gone", func() bool {
		_, err := run.Call(t.Context(), c, []string{"kill", "-0", itoa(pid)})
		return err != nil
	})
	is(same)

	if _, err := spawn.Call(t.Context(), same, stubborn); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	before.quiet(t, 5*time.Second)
}

// linkBytes returns how many bytes were sent over the links toward contexts.
func linkBytes(t *testing.T, self *contexts.Node, nodes ...*contexts.Node) []uint64 {
	t.Helper()
	tree, err := self.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sent := make([]uint64, len(nodes))
	for _, info := range tree {
		for i, n := range nodes {
			if info.Node.ID() == n.ID() {
				sent[i] = info.BytesSent
			}
		}
	}
	return sent
}

// since returns how much numbers have grown.
func since(before, after []uint64) []uint64 {
	more := make([]uint64, len(after))
	for i := range more {
		more[i] = after[i] - before[i]
	}
	return more
}
