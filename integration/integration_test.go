//go:build linux

package integration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

func TestMain(m *testing.M) {
	contexts.Init()
	os.Setenv("GORACE", quickEnd)
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP} {
		// They are ignored here under nohup, or in the background of a shell. The programs
		// under test would inherit that, and these signals would not end them.
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	os.Exit(m.Run())
}

// quickEnd is the value of GORACE in tests that measure the end of contexts. By default a program
// with the race detector sleeps for a second before it exits, so that other threads can still
// report. A context is two processes.
const quickEnd = "atexit_sleep_ms=0"

// start makes a host in which contexts end as fast as they do without the race
// detector.
func start(t *testing.T, h lab.Host) *lab.Running {
	t.Helper()
	lab.Require(t)
	env := map[string]string{"GORACE": quickEnd}
	maps.Copy(env, h.Env)
	h.Env = env
	if h.SSHD != nil && !h.SSHD.Dropbear {
		sshd := *h.SSHD
		sshd.Config = append([]string{"SetEnv GORACE=" + quickEnd}, sshd.Config...)
		h.SSHD = &sshd
	}
	if h.Sudoers != "" {
		h.Sudoers = "Defaults env_keep += GORACE\n" + h.Sudoers
	}
	return lab.Start(t, h)
}

// nothingKept is the Config.PackedDir of tests. With it they keep no packed images in the user's
// directory.
const nothingKept = os.DevNull

// patience bounds each wait that has no limit of its own, on a machine that runs other tests at
// the same time.
const patience = time.Minute

// Functions that the contexts of the tests have.
var (
	echo = contexts.NewFunc("lab.echo", func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
	sum  = contexts.NewFunc("lab.sum", func(_ context.Context, b []byte) ([32]byte, error) { return sha256.Sum256(b), nil })

	// whoami returns the context, host, user and process in which a call has arrived.
	whoami = contexts.NewFunc("lab.whoami", func(ctx context.Context, _ struct{}) (identity, error) {
		host, err := os.Hostname()
		return identity{
			Path: contexts.Self(ctx).String(), Caller: contexts.Caller(ctx).String(),
			Host: host, UID: os.Getuid(), PID: os.Getpid(),
		}, err
	})
	readFile = contexts.NewFunc("lab.readfile", func(_ context.Context, path string) (string, error) {
		b, err := os.ReadFile(path)
		return string(b), err
	})
	environ = contexts.NewFunc("lab.environ", func(context.Context, struct{}) ([]string, error) { return os.Environ(), nil })
	fail    = contexts.NewFunc("lab.fail", func(_ context.Context, path string) (struct{}, error) {
		_, err := os.Stat(path)
		return struct{}{}, err
	})
	panics = contexts.NewFunc("lab.panic", func(_ context.Context, s string) (struct{}, error) {
		return struct{}{}, panicHere(s)
	})
	// remaining returns the time that is left for the call.
	remaining = contexts.NewFunc("lab.remaining", func(ctx context.Context, _ struct{}) (time.Duration, error) {
		d, ok := ctx.Deadline()
		if !ok {
			return 0, errors.New("no deadline arrived")
		}
		return time.Until(d), nil
	})
	// run runs a program and returns its output.
	run = contexts.NewFunc("lab.run", func(ctx context.Context, argv []string) (string, error) {
		out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
		return string(out), err
	})
	// spawn starts a program, does not wait for it, and returns its process ID.
	spawn = contexts.NewFunc("lab.spawn", func(_ context.Context, argv []string) (int, error) {
		cmd := exec.Command(argv[0], argv[1:]...)
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		go func() { _ = cmd.Wait() }()
		return cmd.Process.Pid, nil
	})
	// divide makes a child of the context in which it runs.
	divide = contexts.NewFunc("lab.divide", func(ctx context.Context, _ struct{}) (*contexts.Node, error) {
		return contexts.Self(ctx).Connect(ctx, local.Child{})
	})
	// occupy starts a program, tells the master of it, and goes on until it is cancelled.
	// Then it tells the master of that, too.
	occupy = contexts.NewFunc("lab.occupy", func(ctx context.Context, o occupation) (struct{}, error) {
		cmd := exec.CommandContext(ctx, o.Argv[0], o.Argv[1:]...)
		if err := cmd.Start(); err != nil {
			return struct{}{}, err
		}
		_, err := tell.Call(ctx, o.Tell, note{Topic: o.Topic, Text: "started", PID: cmd.Process.Pid})
		err = errors.Join(err, cmd.Wait())
		_, last := tell.Call(context.WithoutCancel(ctx), o.Tell, note{Topic: o.Topic, Text: "ended", PID: cmd.Process.Pid})
		return struct{}{}, errors.Join(ctx.Err(), err, last)
	})
	// report makes the context call its ancestor.
	report = contexts.NewFunc("lab.report", func(ctx context.Context, o occupation) (struct{}, error) {
		return tell.Call(ctx, o.Tell, note{Topic: o.Topic, Text: "hello", PID: os.Getpid()})
	})
	// tell keeps a note in the master. Contexts call it.
	tell = contexts.NewFunc("lab.tell", func(ctx context.Context, n note) (struct{}, error) {
		n.From = contexts.Caller(ctx).String()
		board.add(n)
		return struct{}{}, nil
	}, contexts.AllowDescendants)
)

// panicHere panics. Tests look for its name in the stack.
func panicHere(s string) error { panic(s) }

type identity struct {
	Path, Caller, Host string
	UID, PID           int
}

type occupation struct {
	Argv  []string
	Topic string // the test's name, so that tests don't hear one another
	Tell  *contexts.Node
}

type note struct {
	Topic, Text, From string
	PID               int
}

// notes holds the notes that contexts have sent to the master.
type notes struct {
	mu      sync.Mutex
	list    []note
	changed chan struct{} // closed and replaced at every change
}

var board = notes{changed: make(chan struct{})}

func (b *notes) add(n note) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, n)
	close(b.changed)
	b.changed = make(chan struct{})
}

// await waits until a context has sent a note with this text for the test.
func (b *notes) await(t *testing.T, text string) note {
	t.Helper()
	timeout := time.After(patience)
	for {
		b.mu.Lock()
		i := slices.IndexFunc(b.list, func(n note) bool { return n.Topic == t.Name() && n.Text == text })
		changed := b.changed
		var n note
		if i >= 0 {
			n = b.list[i]
		}
		b.mu.Unlock()
		if i >= 0 {
			return n
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("no context has sent the note %q", text)
		}
	}
}

// eventually polls until cond reports true. It is for conditions that no call can wait for, such
// as the end of a process in another namespace.
func eventually(t *testing.T, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	limit = stretched(limit)
	timeout := time.After(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("not within %v, want it by then: %s", limit, what)
		}
	}
}

// A journal keeps the log of the contexts of a tree, as text.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// newJournal makes a log whose text is shown if the test fails.
func newJournal(t *testing.T) (*slog.Logger, *journal) {
	j := new(journal)
	t.Cleanup(func() {
		if t.Failed() {
			if s := j.String(); len(s) > 8<<10 {
				t.Logf("log: ...%s", s[len(s)-8<<10:])
			} else {
				t.Logf("log: %s", s)
			}
		}
	})
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug})), j
}

// master starts a tree in the test process, and ends it with the test. If cfg has no Log, it gets
// one that is shown if the test fails.
func master(t *testing.T, cfg *contexts.Config) *contexts.Node {
	t.Helper()
	var c contexts.Config
	if cfg != nil {
		c = *cfg
	}
	if c.Log == nil {
		c.Log, _ = newJournal(t)
	}
	if c.PackedDir == "" {
		c.PackedDir = nothingKept
	}
	self, err := contexts.Start(t.Context(), &c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := self.Close(); err != nil {
			t.Errorf("closing the tree: %v, want it to end in order", err)
		}
	})
	return self
}

// labDialer lets a hop of the test process enter the lab's network.
type labDialer struct{}

func (labDialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return lab.Dial(ctx, network, addr)
}

// reach returns a hop from the test process to a host. It uses no configuration, agent or keys of
// the user who runs the tests. The caller adds a key or a password.
func reach(t *testing.T, host *lab.Running, user string) ssh.Login {
	t.Helper()
	return ssh.Login{
		Host: host.IP(), Port: port(t, host), User: user,
		NoConfig: true, NoAgent: true, IdentityFiles: []string{},
		KnownHostsFiles: []string{knownHosts(t, host)},
		Through:         labDialer{},
	}
}

// port returns the port of a host's sshd.
func port(t *testing.T, host *lab.Running) int {
	t.Helper()
	_, p, err := net.SplitHostPort(host.Addr())
	if err != nil {
		t.Fatal(err)
	}
	n, err := net.DefaultResolver.LookupPort(t.Context(), "tcp", p)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// knownHosts makes a known_hosts file for some hosts.
func knownHosts(t *testing.T, hosts ...*lab.Running) string {
	t.Helper()
	var lines strings.Builder
	for _, h := range hosts {
		lines.WriteString(h.KnownHosts())
	}
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// withKey returns a hop that authenticates only by this key.
func withKey(hop ssh.Login, key lab.ClientKey) ssh.Login {
	hop.IdentityFiles, hop.IdentitiesOnly = []string{key.Path}, true
	return hop
}

// withPassword returns a hop that authenticates only by this password.
func withPassword(hop ssh.Login, password connect.Secret) ssh.Login {
	hop.Password, hop.IdentitiesOnly = password, true
	return hop
}

// login connects the test's tree to a host by key.
func login(t *testing.T, self *contexts.Node, host *lab.Running, user string, key lab.ClientKey) *contexts.Node {
	t.Helper()
	return child(t, self, withKey(reach(t, host, user), key))
}

// child makes a child by any hop. The end of the tree ends the child.
func child(t *testing.T, parent *contexts.Node, m connect.Method) *contexts.Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n, err := parent.Connect(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// refused checks that a hop fails with an error of a class, within a limit. It returns the error.
func refused(t *testing.T, parent *contexts.Node, m connect.Method, reason error, limit time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	start := time.Now()
	n, err := parent.Connect(ctx, m)
	switch took := time.Since(start); {
	case err == nil:
		t.Fatalf("the hop connected %v, want an error", n)
	case !errors.Is(err, reason):
		t.Fatalf("after %v the error is %q (%T), want one of the class %q", took, err, err, reason)
	case took > stretched(limit):
		t.Errorf("the error %q took %v, want at most %v", err, took, stretched(limit))
	}
	return err
}

// who asks a context for its identity.
func who(t *testing.T, n *contexts.Node) identity {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	id, err := whoami.Call(ctx, n, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// A scene is the state of a host before a test touched it.
type scene struct {
	host  *lab.Running
	files lab.Snapshot
	procs []lab.Proc
}

func look(host *lab.Running) scene {
	return scene{host, host.Snapshot(), host.Processes()}
}

// newProcesses returns the processes that were started since.
func (s scene) newProcesses() []lab.Proc {
	return slices.DeleteFunc(s.host.Processes(), func(p lab.Proc) bool {
		return slices.ContainsFunc(s.procs, func(q lab.Proc) bool { return q.PID == p.PID })
	})
}

// restored checks that the test has left nothing on the host. All new processes must end within
// limit. No file may be new or changed but those that every login changes and those in except.
func (s scene) restored(t *testing.T, limit time.Duration, except ...string) {
	t.Helper()
	s.quiet(t, limit)
	s.untouched(t, except...)
}

// quiet checks that all processes that were started since end within limit.
func (s scene) quiet(t *testing.T, limit time.Duration) {
	t.Helper()
	limit = stretched(limit)
	timeout := time.After(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
wait:
	for len(s.newProcesses()) > 0 {
		select {
		case <-tick.C:
		case <-timeout:
			break wait
		}
	}
	for _, p := range s.newProcesses() {
		t.Errorf("after %v %s still has the process %v, want it ended", limit, s.host.Name(), p)
	}
}

// shimTrace is the directory at the desk that package fakessh never removes.
const shimTrace = "/root/.local"

// untouched checks that no file was made or changed since, but those in except.
func (s scene) untouched(t *testing.T, except ...string) {
	t.Helper()
	for _, line := range lab.Diff(s.files, s.host.Snapshot(), slices.Concat(except, lab.LoginTraces, []string{shimTrace})...) {
		t.Errorf("on %s a file has changed: %s, want no change", s.host.Name(), line)
	}
}

// isNotExist reports whether an error says that a file does not exist.
func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
