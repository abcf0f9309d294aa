//go:build linux

package attach_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/attach"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
)

// actAsGuest joins a tree and tries what there is to be had.
func actAsGuest(ctx context.Context, path string) error {
	m, err := attach.Join(ctx, path, nil)
	if err != nil {
		return err
	}
	defer m.Close()
	tree, err := m.Tree(ctx)
	if err != nil {
		return err
	}
	v := told{Values: make(map[string]string)}
	var granted *contexts.Node
	for _, c := range tree {
		use := "closed"
		if c.Node != nil {
			use = "open"
		}
		if c.ID != m.Local().ID() && c.ID != m.Listener().ID() && c.Node != nil {
			granted = c.Node
		}
		v.Values[fmt.Sprintf("context %d", c.ID)] = use + " " + strconv.Itoa(c.PID)
	}
	out, err := granted.Command(ctx, "sh", "-c", "echo $PPID").Output()
	v.Values["command"] = strings.TrimSpace(string(out))
	v.failed("command", err)
	p, err := pid.Call(ctx, granted, struct{}{})
	v.Values["pid"] = strconv.Itoa(p)
	v.failed("pid", err)

	v.Values["open"], err = open.Call(ctx, m.Listener(), "said")
	v.failed("open", err)
	_, err = pid.Call(ctx, m.Listener(), struct{}{})
	v.failed("function of the listener", err)
	_, err = m.Listener().Command(ctx, "true").Output()
	v.failed("command in the listener", err)
	_, err = m.Listener().DialContext(ctx, "tcp", "127.0.0.1:1")
	v.failed("connection of the listener", err)
	_, err = m.Listener().Connect(ctx, local.Child{})
	v.failed("context of the listener", err)
	_, err = m.Local().Connect(ctx, local.Child{})
	v.failed("context of its own", err)
	v.failed("end of the listener", m.Listener().Close())

	// The granted context knows of another, which was not granted.
	other, err := recall.Call(ctx, granted, struct{}{})
	if err != nil {
		return err
	}
	_, err = pid.Call(ctx, other, struct{}{})
	v.failed("function of another", err)
	_, err = other.Command(ctx, "true").Output()
	v.failed("command in another", err)

	// What it makes itself may be used once it was listed.
	made, err := divide.Call(ctx, granted, struct{}{})
	if err != nil {
		return err
	}
	_, err = pid.Call(ctx, made, struct{}{})
	v.failed("too early", err)
	if tree, err = m.Tree(ctx); err != nil {
		return err
	}
	for _, c := range tree {
		if c.ID == made.ID() && c.Node != nil {
			_, err = pid.Call(ctx, c.Node, struct{}{})
			v.failed("in time", err)
			v.Values["in time"] = c.Path
		}
	}
	tell(v)
	return nil
}

func listen(t *testing.T, self *contexts.Node, cfg *attach.Config) *attach.Listener {
	t.Helper()
	ln, err := attach.Listen(self, filepath.Join(t.TempDir(), "sub", "socket"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(filepath.Dir(ln.Path())); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("looking for the socket's directory: got %v, want fs.ErrNotExist", err)
		}
	})
	return ln
}

// TestGuestHasWhatItWasGranted: the processes are real ones, and so are the
// refusals: those of the routers on the way.
func TestGuestHasWhatItWasGranted(t *testing.T) {
	self := treetest.Start(t, nil)
	mine, other := treetest.Child(t, self), treetest.Child(t, self)
	if _, err := remember.Call(t.Context(), mine, other); err != nil {
		t.Fatal(err)
	}
	ln := listen(t, self, &attach.Config{Grant: func(p attach.Peer, n *contexts.Node) bool {
		if p.UID != os.Getuid() || p.PID == 0 || p.PID == os.Getpid() {
			t.Errorf("joined by %+v, want another process of this user", p)
		}
		return n.ID() == mine.ID() || n.Parent().ID() == mine.ID()
	}})
	guest := act(t, "join", ln.Path(), nil)
	v := guest.must()
	pidOf := func(n *contexts.Node) string {
		p, err := pid.Call(t.Context(), n, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		return strconv.Itoa(p)
	}
	for what, want := range map[string]string{
		"context 0":                           "open " + strconv.Itoa(os.Getpid()),
		fmt.Sprintf("context %d", mine.ID()):  "open " + pidOf(mine),
		fmt.Sprintf("context %d", other.ID()): "closed " + pidOf(other),
		"command":                             pidOf(mine), "pid": pidOf(mine), "open": "said", "in time": "local/local",
	} {
		if v.Values[what] != want {
			t.Errorf("%s: %q, not %q", what, v.Values[what], want)
		}
	}
	for _, what := range []string{"command", "pid", "open", "in time"} {
		if err := v.err(what); err != nil {
			t.Errorf("%s: got %v, want that it is allowed", what, err)
		}
	}
	for _, what := range []string{"function of the listener", "command in the listener", "connection of the listener",
		"context of the listener", "end of the listener", "function of another", "command in another", "too early"} {
		if err := v.err(what); !errors.Is(err, contexts.ErrRefused) {
			t.Errorf("%s: got %v, want ErrRefused", what, err)
		}
	}
	if err := v.err("context of its own"); !errors.Is(err, contexts.ErrTooDeep) {
		t.Errorf("a context of its own: got %v, want ErrTooDeep", err)
	}
	guest.end(0)
	treetest.Eventually(t, "the guest is gone", func() bool {
		tree, err := self.Tree(t.Context())
		return err == nil && len(tree) == 4 // with the one that it has made, which is the granted context's
	})
}

// actAsLeaner has a command run, and is killed.
func actAsLeaner(ctx context.Context, path string) error {
	m, err := attach.Join(ctx, path, nil)
	if err != nil {
		return err
	}
	tree, err := m.Tree(ctx)
	if err != nil {
		return err
	}
	v := told{Values: make(map[string]string)}
	for _, c := range tree {
		if c.Node != nil && c.ID != m.Local().ID() && c.ID != m.Listener().ID() {
			cmd := c.Node.Command(ctx, "sleep", "1000")
			if err := cmd.Start(); err != nil {
				return err
			}
			v.Values["pid"] = strconv.Itoa(cmd.Pid)
			go func() { _, _ = block.Call(ctx, c.Node, struct{}{}) }()
		}
	}
	tell(v)
	select {
	case <-m.Listener().Done():
	case <-ctx.Done():
		return ctx.Err()
	}
	v = told{}
	v.failed("listener", m.Listener().Err())
	_, err = open.Call(ctx, m.Listener(), "said")
	v.failed("call", err)
	_, err = m.Tree(ctx)
	v.failed("tree", err)
	v.failed("close", m.Close())
	tell(v)
	return nil
}

func all(attach.Peer, *contexts.Node) bool { return true }

func TestNothingOfAGuestIsLeft(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		self := treetest.Start(t, nil)
		treetest.Child(t, self)
		ln := listen(t, self, &attach.Config{Grant: all})
		guest := act(t, "lean", ln.Path(), nil)
		command, _ := strconv.Atoi(guest.must().Values["pid"])
		if !alive(command) {
			t.Fatalf("process %d does not run", command)
		}
		if tree, err := self.Tree(t.Context()); err != nil || len(tree) != 3 || !strings.HasPrefix(tree[2].Path, "attached:") {
			t.Errorf("the tree is %v, %v; want three contexts, the last an attached one", tree, err)
		}
		guest.end(s)
		treetest.Eventually(t, "its command has ended", func() bool { return !alive(command) })
		treetest.Eventually(t, "it is not in the tree", func() bool {
			tree, err := self.Tree(t.Context())
			return err == nil && len(tree) == 2
		})
	}
}

// actAsListener is a master that can be killed.
func actAsListener(ctx context.Context, path string) error {
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := self.Connect(ctx, local.Child{}); err != nil {
		return err
	}
	ln, err := attach.Listen(self, path, &attach.Config{Grant: all})
	if err != nil {
		return err
	}
	tell(told{})
	untilDismissed()
	if err := ln.Close(); err != nil {
		return err
	}
	return self.Close()
}

// TestListenerEnds in order, killed, and by closing the listener only: its guests
// hear of it.
func TestListenerEnds(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGKILL, 0} {
		path := filepath.Join(t.TempDir(), "socket")
		if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		master := act(t, "listen", path, nil)
		master.must()
		guest := act(t, "lean", path, nil)
		command, _ := strconv.Atoi(guest.must().Values["pid"])
		master.end(s)
		v := guest.must()
		for _, what := range []string{"listener", "call", "tree"} {
			if !v.Gone[what] {
				t.Errorf("%v: %s: got %v, want ErrGone", s, what, v.err(what))
			}
		}
		if err := v.err("close"); err != nil {
			t.Errorf("%v: closing: %v, want no error", s, err)
		}
		treetest.Eventually(t, "the command has ended", func() bool { return !alive(command) })

		// The socket of one that was killed is there, and is no hindrance.
		_, err := os.Lstat(path)
		if want := s == 0; errors.Is(err, fs.ErrNotExist) != want {
			t.Errorf("%v: looking for the socket: got %v, want fs.ErrNotExist: %v", s, err, want)
		}
		again := act(t, "listen", path, nil)
		again.must()
		_, err = attach.Listen(treetest.Start(t, nil), path, nil)
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("where a process listens: got %v, want EADDRINUSE", err)
		}
		again.end(0)
	}
}

func TestListenerSendsGuestsAway(t *testing.T) {
	self := treetest.Start(t, nil)
	treetest.Child(t, self)
	ln := listen(t, self, &attach.Config{Grant: all, MaxPeers: 1})
	guest := act(t, "lean", ln.Path(), nil)
	guest.must()
	if _, err := attach.Join(t.Context(), ln.Path(), nil); !errors.Is(err, contexts.ErrBusy) {
		t.Errorf("a second process joins: got %v, want ErrBusy", err)
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if v := guest.must(); !v.Gone["listener"] {
		t.Errorf("the guest asks the listener: got %v, want ErrGone", v.err("listener"))
	}
	if _, err := attach.Join(t.Context(), ln.Path(), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("joining after Close: got %v, want fs.ErrNotExist", err)
	}
	if tree, err := self.Tree(t.Context()); err != nil || len(tree) != 2 {
		t.Errorf("the tree after Close: got %v, %v; want two contexts", tree, err)
	}
}

// TestOtherUser: the directory keeps other users away, and where somebody has
// opened it to them, the listener does. Neither does a process join the tree of
// another.
func TestOtherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("root is needed to be another user (try sudo -E go test)")
	}
	program := filepath.Join(t.TempDir(), "test")
	copyProgram(t, program)
	for dir := filepath.Dir(program); dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	nobody := func(cmd *exec.Cmd) {
		cmd.Path, cmd.Dir = program, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	self := treetest.Start(t, nil)
	dir := filepath.Join(filepath.Dir(program), "sockets")
	ln, err := attach.Listen(self, filepath.Join(dir, "socket"), nil)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(class error) {
		t.Helper()
		v := act(t, "join", ln.Path(), nobody).hear()
		if v.Err == nil {
			t.Fatalf("it has joined: %v; want an error", v.Values)
		}
		if err := (told{Errs: map[string][]byte{"": v.Err}}).err(""); !errors.Is(err, class) {
			t.Errorf("got %v, want %v", err, class)
		}
	}
	refused(fs.ErrPermission)
	for path, mode := range map[string]fs.FileMode{dir: 0o755, ln.Path(): 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	refused(attach.ErrOtherUser)
	if tree, err := self.Tree(t.Context()); err != nil || len(tree) != 1 {
		t.Errorf("the tree is %v, %v; want the listener only", tree, err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}

	// The other way round: root can reach every socket, and does not join.
	theirs := filepath.Join(filepath.Dir(program), "theirs")
	if err := os.Mkdir(theirs, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(theirs, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	other := act(t, "listen", filepath.Join(theirs, "socket"), nobody)
	other.must()
	if _, err := attach.Join(t.Context(), filepath.Join(theirs, "socket"), nil); !errors.Is(err, attach.ErrOtherUser) {
		t.Errorf("joining another user's listener: got %v, want ErrOtherUser", err)
	}
	if _, err := attach.Listen(self, filepath.Join(theirs, "mine"), nil); !errors.Is(err, attach.ErrExposed) {
		t.Errorf("listening in another user's directory: got %v, want ErrExposed", err)
	}
	other.end(0)
}

func copyProgram(t *testing.T, to string) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(to, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestSocketsThatAreNotMade(t *testing.T) {
	self := treetest.Start(t, nil)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	fails := func(path string, class error) {
		t.Helper()
		ln, err := attach.Listen(self, path, nil)
		if err == nil {
			ln.Close()
		}
		if !errors.Is(err, class) {
			t.Errorf("%s: got %v, want %v", path, err, class)
		}
	}
	long := filepath.Join(dir, strings.Repeat("x", 108-len(dir)-1))
	fails(long, attach.ErrPathTooLong)
	if _, err := attach.Join(t.Context(), long, nil); !errors.Is(err, attach.ErrPathTooLong) {
		t.Errorf("a long path: got %v, want ErrPathTooLong", err)
	}
	if ln, err := attach.Listen(self, long[:107], nil); err != nil {
		t.Error(err)
	} else if err := ln.Close(); err != nil {
		t.Error(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(file, syscall.EEXIST)
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Errorf("the file in the place of the socket has %q, want that it stays", b)
	}
	fails(filepath.Join(file, "socket"), syscall.ENOTDIR)
	fails(filepath.Join(dir, "no", "such", "socket"), fs.ErrNotExist)
	child := treetest.Child(t, self)
	if _, err := attach.Listen(child, filepath.Join(dir, "s"), nil); !errors.Is(err, contexts.ErrRefused) {
		t.Errorf("listening at another host: got %v, want ErrRefused", err)
	}
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	fails(filepath.Join(dir, "socket"), attach.ErrExposed)

	ln, err := attach.Listen(self, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Dir(ln.Path())); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory of the socket: got %v, %v; want mode 0700", info, err)
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(ln.Path())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("looking for the socket's directory: got %v, want fs.ErrNotExist", err)
	}
}
