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

// onEmulator connects to a context on the host in which the emulator is set up, so that
// foreignContainer works from there.
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

// A container of another architecture gets an image for it from the master, and starts its
// children from that image.
func TestForeignContainer(t *testing.T) {
	lab.Require(t)
	if runtime.GOARCH == "arm64" {
		t.Skip("this machine executes arm64 itself, so there is nothing to emulate")
	}
	busybox := lab.ForeignBusybox(t, "arm64")
	host := start(t, lab.Host{Binds: []string{busybox + ":/srv/busybox:ro"}, Setup: []string{makeForeignTree}})
	// The toolchain keeps its own cache. The cache of images begins empty.
	goCache := goCommand(t, "env", "GOCACHE")
	cache := t.TempDir()
	t.Setenv("GOCACHE", strings.TrimSpace(goCache))
	t.Setenv("XDG_CACHE_HOME", cache)

	t.Run("missing", func(t *testing.T) {
		_, line := onEmulator(t, host, &contexts.Config{NoBuild: true})
		err := refused(t, line[1], foreignContainer, contexts.ErrNoImage, patience)
		if !strings.Contains(err.Error(), `"linux_arm64" in Config.Images`) {
			t.Errorf("the error is %q, want it to name the missing image in Config.Images", err)
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
			t.Fatalf("images for arm64 in the cache are %q, error %v, want one", found, err)
		}
		images := os.DirFS(filepath.Dir(found[0]))
		self, line := onEmulator(t, host, &contexts.Config{NoBuild: true, Images: images})
		inForeignContainer(t, host, self, line)
	})
}

// inForeignContainer connects a container behind line, and then makes children within the
// container in every way that there is.
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
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // building the image takes long
	defer cancel()
	c, err := line[1].Connect(ctx, foreignContainer)
	if err != nil {
		t.Fatal(err)
	}
	is(c)
	linkIsClean(t, c)
	// The image has crossed each link once.
	const image = 1 << 20 // bytes; every packed image is larger
	for i, more := range since(sent, linkBytes(t, self, line...)) {
		t.Logf("%d bytes were sent to %v for a foreign child", more, line[i])
		if more < image || more > 16*image {
			t.Errorf("%d bytes were sent to %v for a foreign child, want one image: %d to %d", more, line[i], image, 16*image)
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
			t.Errorf("%d bytes were sent to %v for children whose executable is in the container, want at most 32 KiB", more, line[i])
		}
	}

	// As on other hosts, a guard ends the processes that a killed worker leaves. It ends daemons
	// too, although under an emulator they do not become its children.
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
		t.Fatalf("after %v the master has not noticed that the worker was killed", patience)
	}
	eventually(t, 5*time.Second, "the processes that a killed worker has started have ended", func() bool {
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
