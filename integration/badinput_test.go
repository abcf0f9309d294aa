//go:build linux

package integration

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/connect/openssh"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// soon bounds the time of an error that needs no waiting.
const soon = 10 * time.Second

// told checks that an error has the words that a person needs, and no control characters.
func told(t *testing.T, err error, words ...string) {
	t.Helper()
	t.Logf("%q", err)
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error is %q, want %q in it", err, w)
		}
	}
	for _, r := range err.Error() {
		if r < ' ' || r == 0x7f {
			t.Errorf("the error %q has the control character %q, want none", err, r)
		}
	}
}

// Bad names of hosts and users are refused before anything is started or dialled, by both
// methods that use such names.
func TestBadNames(t *testing.T) {
	proof := filepath.Join(t.TempDir(), "proof")
	children := childProcesses(t)
	self := master(t, nil)
	middle := child(t, self, local.Child{})
	inside := "-oProxyCommand=touch " + proof
	for _, name := range []string{
		"", inside, "-", "u@-v", "u@" + inside, "a b", "a\tb", "a\nb", "a\x00b", "\x00", "a;touch " + proof, "$(touch " + proof + ")",
		"`touch " + proof + "`", "a/b", "a\x1b]0;x\x07", strings.Repeat("a", 256), "@", "u@",
	} {
		for _, m := range []connect.Method{
			ssh.Login{Host: name, NoConfig: true, NoAgent: true, Through: noDialer{t}},
			openssh.Login{Host: name},
		} {
			err := refused(t, self, m, connect.ErrBadName, soon)
			told(t, err, "connect ")
		}
	}
	for _, name := range []string{inside, "-v", "a b", "a\nb", "a\x00b", "u@-v", "$(touch " + proof + ")"} {
		for _, m := range []connect.Method{
			ssh.Login{Host: "localhost", User: name, NoConfig: true, NoAgent: true, Through: noDialer{t}},
			openssh.Login{Host: "localhost", User: name},
			become.Sudo{User: name},
		} {
			told(t, refused(t, self, m, connect.ErrBadName, soon), "connect ")
		}
	}
	// In another context it is the same: the error's class and path arrive here.
	told(t, refused(t, middle, openssh.Login{Host: inside}, connect.ErrBadName, soon), "connect local/openssh:")
	if _, err := os.Stat(proof); !isNotExist(err) {
		t.Errorf("the file that a name would make if it were executed: %v, want none", err)
	}
	answers(t, middle, os.Getuid())
	if err := self.Close(); err != nil {
		t.Error(err)
	}
	if now := childProcesses(t); now != children {
		t.Errorf("the test has the processes %q, want those from before, %q", now, children)
	}
}

// noDialer is the dialer of hops that must not reach the network. It fails the test.
type noDialer struct{ t *testing.T }

func (d noDialer) DialContext(_ context.Context, network, addr string) (net.Conn, error) {
	d.t.Errorf("%s %q was dialled, want the name refused before", network, addr)
	return nil, errors.New("not to be dialled")
}

// silentPort returns a port of the station whose listener accepts connections and never writes.
func silentPort(t *testing.T) int {
	t.Helper()
	silent, err := lab.Listen("tcp", net.JoinHostPort(lab.StationIP, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	return silent.Addr().(*net.TCPAddr).Port
}

// Hosts that can't be reached, or don't exist, from the master and from a context on the way.
func TestBadHosts(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	key := lab.NewClientKey(t)
	users := []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}}
	target := lab.Start(t, lab.Host{Users: users, SSHD: &lab.SSHD{}})
	way := lab.Start(t, lab.Host{Users: users, SSHD: &lab.SSHD{}, Files: map[string]string{
		keyFile: key.Private, knownFile: target.KnownHosts(),
	}})
	silentNumber := silentPort(t)
	silentPort := strconv.Itoa(silentNumber)

	self := master(t, nil)
	hop := login(t, self, way, "deploy", key)
	before := []scene{look(way), look(target)}
	for _, from := range []struct {
		name string
		n    *contexts.Node
		hop  ssh.Login
		path string
	}{
		{"the master", self, withKey(reach(t, target, "deploy"), key), "connect ssh:"},
		{"a context on the way", hop, onHosts(target, "deploy"), "connect " + hop.String() + "/ssh:"},
	} {
		for name, test := range map[string]struct {
			change func(h *ssh.Login)
			class  error
			words  []string
		}{
			"unknown user": {func(h *ssh.Login) { h.User = "nobody-here" }, connect.ErrPermission, []string{"nobody-here@"}},
			"closed port":  {func(h *ssh.Login) { h.Port = 1 }, connect.ErrRefused, []string{target.IP() + ":1"}},
			"silent port": {func(h *ssh.Login) {
				h.Host, h.Port, h.ConnectTimeout = lab.StationIP, silentNumber, time.Second
			}, connect.ErrTimeout, []string{lab.StationIP + ":" + silentPort}},
			"no such address": {func(h *ssh.Login) {
				h.Host, h.ConnectTimeout = "10.77.254.254", time.Second
			}, nil, []string{"10.77.254.254"}},
			"no such name": {func(h *ssh.Login) { h.Host = "nowhere.invalid" }, nil, []string{"nowhere.invalid"}},
		} {
			t.Run(name+" from "+from.name, func(t *testing.T) {
				h := from.hop
				test.change(&h)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				start := time.Now()
				n, err := from.n.Connect(ctx, h)
				if err == nil {
					t.Fatalf("the hop connected %v, want an error", n)
				}
				if took := time.Since(start); took > stretched(soon) {
					t.Errorf("the error took %v, want at most %v", took, stretched(soon))
				}
				if test.class != nil && !errors.Is(err, test.class) {
					t.Errorf("the error is %q (%T), want one of the class %q", err, err, test.class)
				}
				if e, ok := errors.AsType[*contexts.Error](err); !ok || e.Kind != core.KindConnect || !strings.HasSuffix(e.Path, h.Label()) {
					t.Errorf("the error is %#v, want one of class connect at a path that ends in %s", e, h.Label())
				}
				told(t, err, append(test.words, from.path)...)
			})
		}
	}
	for _, s := range before {
		s.restored(t, patience)
	}
	answers(t, hop, 2000)
	answers(t, login(t, self, target, "deploy", key), 2000)
}

// When the caller's deadline ends a connect, the error names the phase that was under way.
func TestDeadlineNamesThePhase(t *testing.T) {
	self := master(t, nil)
	for name, test := range map[string]struct {
		argv  []string
		words []string
	}{
		"the far side is silent":   {[]string{"/bin/sh", "-c", "exec sleep 1000"}, []string{string(bootstrap.PhaseFirstStage)}},
		"the far side is a prompt": {[]string{"/bin/sh", "-c", "echo Which one do you want?; exec sleep 1000"}, []string{string(bootstrap.PhaseFirstStage), "Which one do you want?"}},
	} {
		t.Run(name, func(t *testing.T) {
			children := childProcesses(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			_, err := self.Connect(ctx, local.Exec{Argv: test.argv})
			if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took > stretched(soon) {
				t.Fatalf("error %v after %v, want %v within %v", err, took, context.DeadlineExceeded, stretched(soon))
			}
			told(t, err, append(test.words, "connect command:sh")...)
			if now := childProcesses(t); now != children {
				t.Errorf("the test has the processes %q, want those from before, %q", now, children)
			}
		})
	}
}

// Programs that are no shell and no relay.
func TestProgramsThatAreNoHop(t *testing.T) {
	self := master(t, nil)
	bystander := child(t, self, local.Child{})
	sh := func(script string) local.Exec { return local.Exec{Argv: []string{"/bin/sh", "-c", script}} }
	for name, test := range map[string]struct {
		hop   local.Exec
		class error
		words []string
	}{
		"is not there": {local.Exec{Argv: []string{"/no/such/program"}}, connect.ErrStart, []string{"/no/such/program"}},
		"no program":   {local.Exec{}, connect.ErrStart, nil},
		"ends at once": {sh("echo going now; exit 42"), connect.ErrEOF, []string{"42", "going now"}},
		"is killed":    {sh("kill -KILL $$"), connect.ErrEOF, []string{"kill"}},
		"binary":       {sh("head -c 16000000 /dev/urandom; echo the end; exit 3"), nil, nil},
		"without end":  {sh("exec cat /dev/urandom"), bootstrap.ErrNoise, nil},
		"yes":          {sh("exec yes no"), bootstrap.ErrNoise, []string{"no"}},
		"control":      {sh(`printf '\033]0;title\007\033[2Jhello\r\n'; exit 1`), connect.ErrEOF, []string{"hello"}},
		// It prints the line of a child, and random bytes in place of frames.
		"speaks nonsense": {sh(`read -r x; m=$(tr '\0' '\n' </proc/$$/cmdline | sed -n 's/^m=\([0-9a-f]*\)"\([0-9a-f]*\)".*/\1\2/p'); ` +
			`printf '\n%s go\n' "$m"; head -c 100000 /dev/urandom; exec sleep 1000`), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			children := childProcesses(t)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			start := time.Now()
			n, err := self.Connect(ctx, test.hop)
			if err == nil {
				t.Fatalf("the hop connected %v, want an error", n)
			}
			if took := time.Since(start); took > stretched(soon) {
				t.Errorf("the error took %v, want at most %v", took, stretched(soon))
			}
			if test.class != nil && !errors.Is(err, test.class) {
				t.Errorf("the error is %q (%T), want one of the class %q", err, err, test.class)
			}
			if len(err.Error()) > 4<<10 {
				t.Errorf("the error has %d bytes, want at most 4 KiB", len(err.Error()))
			}
			told(t, err, append(test.words, "connect command")...)
			answers(t, bystander, os.Getuid())
			if now := childProcesses(t); now != children {
				t.Errorf("the test has the processes %q, want those from before, %q", now, children)
			}
		})
	}
}

// An image that was changed on its way is not executed, whatever the start method.
func TestChangedImage(t *testing.T) {
	t.Parallel()
	lab.Require(t) // the start methods below memfd need root
	self := master(t, nil)
	bystander := child(t, self, local.Child{})
	for _, method := range []string{
		bootstrap.StartPerl, bootstrap.StartPython, bootstrap.StartRAM, bootstrap.StartTmpfs, bootstrap.StartDisk,
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			tree := master(t, &contexts.Config{StartMethods: []string{method}})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			n, err := tree.Connect(ctx, flipping{})
			if err == nil {
				t.Fatalf("the hop connected %v, want an error", n)
			}
			// If the changed image does not unpack, the start method fails for that reason.
			// Otherwise it unpacks to other bytes.
			broken := errors.Is(err, bootstrap.ErrNoStartMethod) && strings.Contains(err.Error(), "unpack")
			if !broken && !errors.Is(err, bootstrap.ErrImageHash) {
				t.Errorf("the error is %q, want one about unpacking or the hash", err)
			}
			told(t, err, method, "flipping")
			answers(t, bystander, os.Getuid())
		})
	}
}

// flipping is a hop to this host that changes a byte of each image on its way. It does that
// again when an image is sent again for the next directory.
type flipping struct{}

func (flipping) Label() string          { return "flipping" }
func (flipping) Traits() connect.Traits { return connect.Traits{} }

func (flipping) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	c, err := local.Exec{Argv: []string{"/usr/bin/env"}}.Open(ctx, e)
	if err != nil {
		return nil, err
	}
	return &flipper{Carrier: c}, nil
}

type flipper struct {
	bootstrap.Carrier
	mu   sync.Mutex
	sent int
}

// flipEach is a number of bytes smaller than an image and larger than a plan.
const flipEach = 1 << 20

func (f *flipper) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at := flipEach - f.sent%flipEach - 1; at < len(b) {
		b = bytes.Clone(b)
		b[at] ^= 0x10
	}
	f.sent += len(b)
	return f.Carrier.Write(b)
}
