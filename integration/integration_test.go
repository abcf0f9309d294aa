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
	if signal.Ignored(os.Interrupt) {
		// As under nohup, or in the background of a shell: the programs that are
		// tested would inherit it, and not end when they are interrupted.
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}
	os.Exit(m.Run())
}

// quickEnd is the GORACE of tests that time the end of contexts.
// A program with the race detector sleeps for a second before it exits, to
// give other threads time for a last report; a context is two processes.
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

// nothingKept is the Config.PackedDir of tests: the user's own stays as it is.
const nothingKept = os.DevNull

// patience is how long anything may take here that has no limit of its own, on a machine
// that runs other tests beside.
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
	// remaining tells how much time is left for the call.
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
	// spawn starts a program that nobody waits for.
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
	// occupy starts a program, tells the master that it did, and goes on until
	// it is cancelled; then it tells that, too.
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
	// tell is called by contexts, in the master.
	tell = contexts.NewFunc("lab.tell", func(ctx context.Context, n note) (struct{}, error) {
		n.From = contexts.Caller(ctx).String()
		board.add(n)
		return struct{}{}, nil
	}, contexts.AllowDescendants)
)

// panicHere has a name that is looked for in the stack.
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

// notes holds the notes that contexts gave to the master.
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

// await waits until somebody has told text about the test.
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
			t.Fatalf("nobody told %q", text)
		}
	}
}

// eventually waits for something that cannot be waited for otherwise, such as
// the end of a process in another namespace.
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
			t.Fatalf("not within %v: %s", limit, what)
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

// master starts a tree in the test process and ends it with the test. Where
// cfg has no Log, it gets one that is shown if the test fails.
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
			t.Errorf("the tree did not end in order: %v", err)
		}
	})
	return self
}

// labDialer lets a hop of the test process enter the lab's network.
type labDialer struct{}

func (labDialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return lab.Dial(ctx, network, addr)
}

// reach is the hop from the test process to a host, with nothing but the values given
// here: no configuration, no agent, no keys of the person who runs the tests.
// It has neither key nor password yet.
func reach(t *testing.T, host *lab.Running, user string) ssh.Login {
	t.Helper()
	return ssh.Login{
		Host: host.IP(), Port: port(t, host), User: user,
		NoConfig: true, NoAgent: true, IdentityFiles: []string{},
		KnownHostsFiles: []string{knownHosts(t, host)},
		Through:         labDialer{},
	}
}

// port is that of a host's sshd.
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

// withKey is a hop that authenticates by one key and nothing else.
func withKey(hop ssh.Login, key lab.ClientKey) ssh.Login {
	hop.IdentityFiles, hop.IdentitiesOnly = []string{key.Path}, true
	return hop
}

// withPassword is a hop that authenticates by a password and nothing else.
func withPassword(hop ssh.Login, password connect.Secret) ssh.Login {
	hop.Password, hop.IdentitiesOnly = password, true
	return hop
}

// login connects the test's tree to a host by key.
func login(t *testing.T, self *contexts.Node, host *lab.Running, user string, key lab.ClientKey) *contexts.Node {
	t.Helper()
	return child(t, self, withKey(reach(t, host, user), key))
}

// child makes a child by any hop; the tree's end ends it.
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

// refused makes sure that a hop fails, for the right reason and in time.
func refused(t *testing.T, parent *contexts.Node, m connect.Method, reason error, limit time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	start := time.Now()
	n, err := parent.Connect(ctx, m)
	switch took := time.Since(start); {
	case err == nil:
		t.Fatalf("%v was connected", n)
	case !errors.Is(err, reason):
		t.Fatalf("after %v the error is %q (%T), not one that is %q", took, err, err, reason)
	case took > stretched(limit):
		t.Errorf("it took %v until %q, want at most %v", took, err, stretched(limit))
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

// newProcesses are those that were not there before.
func (s scene) newProcesses() []lab.Proc {
	return slices.DeleteFunc(s.host.Processes(), func(p lab.Proc) bool {
		return slices.ContainsFunc(s.procs, func(q lab.Proc) bool { return q.PID == p.PID })
	})
}

// restored makes sure that nothing is left of the test: no process within
// limit, and no file but those that any login leaves and those in except.
func (s scene) restored(t *testing.T, limit time.Duration, except ...string) {
	t.Helper()
	s.quiet(t, limit)
	s.untouched(t, except...)
}

// quiet makes sure that no process is left within limit.
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
		t.Errorf("left on %s after %v: %v", s.host.Name(), limit, p)
	}
}

// shimTrace is the directory that package fakessh leaves for good, at the desk.
const shimTrace = "/root/.local"

// untouched makes sure that no file was made or changed.
func (s scene) untouched(t *testing.T, except ...string) {
	t.Helper()
	for _, line := range lab.Diff(s.files, s.host.Snapshot(), slices.Concat(except, lab.LoginTraces, []string{shimTrace})...) {
		t.Errorf("changed on %s: %s", s.host.Name(), line)
	}
}

// isNotExist is errors.Is with the sentinel that tests ask about most.
func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
