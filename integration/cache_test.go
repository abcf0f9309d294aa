//go:build linux

package integration

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cryptossh "golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

const cacheDir = "/home/deploy/.cache/mitosis"

// cacheHost is a host with a user that has a password.
func cacheHost(t *testing.T, h lab.Host) *lab.Running {
	t.Helper()
	if h.Users == nil {
		h.Users = []lab.User{{Name: "deploy", Password: "s3cret"}}
	}
	if h.SSHD == nil {
		h.SSHD = &lab.SSHD{}
	}
	return start(t, h)
}

// A contact is one connect, with its bytes on the wire. They are counted from the question for
// the password on. So they include the authentication, and the connect alone needs fewer.
type contact struct {
	method  string
	out, in int64         // bytes of TCP payload
	took    time.Duration // from the answer with the password until the context was connected
}

// contactWith starts a tree of its own, as a new program would, and connects once.
func contactWith(t *testing.T, host *lab.Running, cfg contexts.Config) contact {
	t.Helper()
	var c contact
	meter := &meter{}
	var since time.Time
	cfg.Prompt = func(context.Context, connect.Prompt) (string, error) {
		meter.out.Store(0)
		meter.in.Store(0)
		since = time.Now()
		return "s3cret", nil
	}
	self := master(t, &cfg)
	hop := reach(t, host, "deploy")
	hop.IdentitiesOnly, hop.Through = true, meter
	n := child(t, self, hop)
	c.took = time.Since(since)
	who(t, n)
	c.method, c.out, c.in = methodOf(t, self, n), meter.out.Load(), meter.in.Load()
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	return c
}

// A meter counts the bytes that pass the connections that it opens.
type meter struct{ out, in atomic.Int64 }

func (m *meter) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := lab.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &meteredConn{conn, m}, nil
}

type meteredConn struct {
	net.Conn
	m *meter
}

func (c *meteredConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.m.in.Add(int64(n))
	return n, err
}

func (c *meteredConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.m.out.Add(int64(n))
	return n, err
}

// commandTrips counts the round trips that ssh itself needs for a command, from the answer with
// the password to the command's first output.
func commandTrips(t *testing.T, host *lab.Running, rtt time.Duration) int {
	t.Helper()
	var since time.Time
	client, err := host.DialSSH(t.Context(), "deploy", cryptossh.PasswordCallback(func() (string, error) {
		since = time.Now()
		return "s3cret", nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.Output("echo here")
	if err != nil || string(out) != "here\n" {
		t.Fatalf("the command printed %q, %v, want here", out, err)
	}
	return int(time.Since(since) / rtt)
}

// The second contact with a host that may keep the image costs at most 4 KiB each way, a call
// included. It takes as many round trips as a command by ssh: those that ssh needs to open a
// channel, and one for the bootstrap.
func TestSecondContactIsCheap(t *testing.T) {
	t.Parallel()
	host := cacheHost(t, lab.Host{})
	cfg := contexts.Config{Cache: true}
	first := contactWith(t, host, cfg)
	t.Logf("first: %+v", first)
	if first.method == bootstrap.StartCache || first.out < 1<<20 {
		t.Errorf("the first contact is %+v, want one with the image", first)
	}
	const rtt = time.Second // far more than the time of the work at both ends
	if err := host.Shape(lab.Link{RTT: rtt}); err != nil {
		t.Fatal(err)
	}
	// Other work on the machine may lengthen one attempt.
	const attempts = 3
	var got, want int
	for range attempts {
		second := contactWith(t, host, cfg)
		t.Logf("second: %+v", second)
		if second.method != bootstrap.StartCache || second.out > 4<<10 || second.in > 4<<10 {
			t.Errorf("the second contact is %+v, want one by the cache with at most 4 KiB each way", second)
		}
		if got, want = int(second.took/rtt), commandTrips(t, host, rtt); got == want {
			return
		}
	}
	t.Errorf("a contact took %d round trips of %v, want %d, as a command by ssh takes, in one of %d attempts", got, rtt, want, attempts)
}

// Without Config.Cache no contact writes anything at the host.
func TestNothingIsKeptUnasked(t *testing.T) {
	t.Parallel()
	host := cacheHost(t, lab.Host{})
	before := look(host)
	contactWith(t, host, contexts.Config{})
	if c := contactWith(t, host, contexts.Config{}); c.method == bootstrap.StartCache {
		t.Errorf("the second contact is %+v, want one without a cache", c)
	}
	before.restored(t, patience)
}

// A changed file in the cache is refused, the log says so, and the next contact finds the right
// file.
func TestHarmedCacheIsReplaced(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]string{
		"tampered":        "f=$(echo %s/*-*); chmod u+w $f; printf x | dd of=$f bs=1 seek=100000 conv=notrunc",
		"truncated":       "truncate -s 1M %s/*-*",
		"symbolic link":   "cd %s; f=$(echo *-*); mv $f /home/deploy/moved; ln -s /home/deploy/moved $f",
		"somebody else's": "chown nobody %s/*-*",
		"open to others":  "chmod 777 %s/*-*",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := cacheHost(t, lab.Host{})
			log, said := newJournal(t)
			cfg := contexts.Config{Cache: true, Log: log}
			contactWith(t, host, cfg)
			if out, err := host.Exec(t.Context(), "sh", "-c", fmt.Sprintf(harm, cacheDir)); err != nil {
				t.Fatal(out, err)
			}
			if c := contactWith(t, host, cfg); c.method == bootstrap.StartCache {
				t.Errorf("the contact after the harm is %+v, want the image in the cache not used", c)
			}
			eventually(t, patience, "a record of the changed file", func() bool { return strings.Contains(said.String(), "was not what had been put there") })
			if c := contactWith(t, host, cfg); c.method != bootstrap.StartCache {
				t.Errorf("the contact after that is %+v, want one by the cache, with a new file", c)
			}
		})
	}
}

// A host that can keep no image is connected as without a cache, and the log gives the reason.
func TestHostsThatCanKeepNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		host lab.Host
		why  string
	}{
		"full disk":      {lab.Host{Setup: []string{"mkdir -p /home/deploy/.cache && mount -t tmpfs -o size=300k,mode=777 none /home/deploy/.cache && chown deploy /home/deploy/.cache"}}, "no space left"},
		"read-only home": {lab.Host{ReadOnly: []string{"/home"}}, "read-only"},
		"noexec home":    {lab.Host{Noexec: []string{"/home"}}, "does not allow execution"},
		"no home":        {lab.Host{Users: []lab.User{{Name: "deploy", Password: "s3cret", Home: "none"}}}, "no such file"},
		"open cache":     {lab.Host{Setup: []string{"mkdir -p -m 777 " + cacheDir + "; chown -R deploy /home/deploy/.cache"}}, "open to other users"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := cacheHost(t, test.host)
			log, said := newJournal(t)
			for range 2 {
				if c := contactWith(t, host, contexts.Config{Cache: true, Log: log}); c.method == bootstrap.StartCache {
					t.Errorf("the contact is %+v, want one without a cache", c)
				}
			}
			eventually(t, patience, "a record with the reason", func() bool {
				s := said.String()
				return strings.Contains(s, "kept in the cache") && strings.Contains(s, test.why)
			})
		})
	}
}

// Ten programs connect to a new host at the same time. All of them succeed, and leave one image.
func TestTenProgramsAtOnce(t *testing.T) {
	t.Parallel()
	if os.Getenv("CACHE_HOST") != "" {
		connectOnce(t)
		return
	}
	host := cacheHost(t, lab.Host{})
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	client := start(t, lab.Host{Files: map[string]string{"/root/.ssh/known_hosts": host.KnownHosts()}})
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			cmd := client.Command(t.Context(), exe, "-test.run=^TestTenProgramsAtOnce$", "-test.v")
			cmd.Env = append(cmd.Env, "CACHE_HOST="+host.Addr(), "CI=")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("one of the programs ended with %v, want success:\n%s", err, out)
			}
		})
	}
	wg.Wait()
	// ls shows no names that begin with a dot: a far side that ends while it writes leaves
	// part of an image there, which a later one removes.
	out, err := host.Exec(t.Context(), "ls", cacheDir)
	if err != nil || strings.Count(strings.TrimSpace(out), "\n") != 0 || !strings.Contains(out, "-") {
		t.Errorf("the cache holds %q, %v, want one image", out, err)
	}
	if c := contactWith(t, host, contexts.Config{Cache: true}); c.method != bootstrap.StartCache {
		t.Errorf("the contact is %+v, want one by the cache", c)
	}
}

// connectOnce is the work of each of the ten programs.
func connectOnce(t *testing.T) {
	host, port, err := net.SplitHostPort(os.Getenv("CACHE_HOST"))
	if err != nil {
		t.Fatal(err)
	}
	number, err := net.DefaultResolver.LookupPort(t.Context(), "tcp", port)
	if err != nil {
		t.Fatal(err)
	}
	log, said := newJournal(t)
	self := master(t, &contexts.Config{Cache: true, Log: log})
	n := child(t, self, ssh.Login{
		Host: host, Port: number, User: "deploy", Password: "s3cret",
		NoConfig: true, NoAgent: true, IdentitiesOnly: true, IdentityFiles: []string{},
		KnownHostsFiles: []string{"/root/.ssh/known_hosts"},
	})
	who(t, n)
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if s := said.String(); strings.Contains(s, "cache") {
		t.Errorf("the log speaks of the cache, want nothing about it:\n%s", s)
	}
}

// A master that knows a host sends the image before the far side has answered to the command.
// If the host has changed meanwhile, the connect goes on as a first one.
func TestKnownHostIsNotAskedFirst(t *testing.T) {
	t.Parallel()
	for name, sshd := range map[string]*lab.SSHD{"OpenSSH": {}, "dropbear": {Dropbear: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var authenticating atomic.Bool
			var again connect.Dialer = labDialer{}
			if sshd.Dropbear {
				again = deafening{&authenticating}
			} // OpenSSH opens its window only with the answer to the command
			meetAgain(t, cacheHost(t, lab.Host{SSHD: sshd}), again, &authenticating)
		})
	}
}

func meetAgain(t *testing.T, host *lab.Running, dialer connect.Dialer, authenticating *atomic.Bool) {
	t.Helper()
	self := master(t, &contexts.Config{Prompt: func(context.Context, connect.Prompt) (string, error) {
		authenticating.Store(true)
		return "s3cret", nil
	}})
	hop := reach(t, host, "deploy")
	hop.IdentitiesOnly = true
	meet := func(through connect.Dialer) string {
		t.Helper()
		hop.Through = through
		authenticating.Store(false)
		n := child(t, self, hop)
		who(t, n)
		method := methodOf(t, self, n)
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		return method
	}
	first := meet(labDialer{})
	if again := meet(dialer); again != first {
		t.Errorf("the second connect started by %s, want %s as the first", again, first)
	}
	if out, err := host.Exec(t.Context(), "sh", "-c", "rm -f /usr/bin/perl*"); err != nil {
		t.Fatal(out, err)
	}
	if method := meet(dialer); method == bootstrap.StartPerl {
		t.Error("the connect after perl was removed reports a start by perl, want another start method")
	}
}

// deafening opens connections that, from the command on, return no bytes to the client until it
// has sent 16 KiB. That is less than the smallest window of a server.
type deafening struct{ authenticating *atomic.Bool }

func (d deafening) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := lab.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &deafConn{Conn: conn, authenticating: d.authenticating, asked: make(chan struct{}), said: make(chan struct{})}, nil
}

type deafConn struct {
	net.Conn
	authenticating *atomic.Bool
	asked          chan struct{} // closed by the writer
	said           chan struct{} // closed by the writer, or Close
	once           sync.Once     // closes said
	total          int           // owned by the writer: bytes from the command on
}

func (c *deafConn) Write(b []byte) (int, error) {
	// After the authentication the packet of the command is the first one of this size.
	if c.total == 0 && len(b) > 500 && c.authenticating.Load() {
		close(c.asked)
		c.total = 1
	}
	if c.total > 0 {
		c.total += len(b)
	}
	if c.total > 16<<10 {
		c.once.Do(func() { close(c.said) })
	}
	return c.Conn.Write(b)
}

func (c *deafConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	select {
	case <-c.asked:
		<-c.said
	default:
	}
	return n, err
}

func (c *deafConn) Close() error {
	c.once.Do(func() { close(c.said) })
	return c.Conn.Close()
}
