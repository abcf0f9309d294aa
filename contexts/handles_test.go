package contexts_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
)

// What is lost further down is as gone as a child, and so it is to calls.
func TestALossFurtherDown(t *testing.T) {
	self := start(t, nil)
	a := child(t, self)
	lost, closed := child(t, a), child(t, a)
	kill(t, lost)
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*contexts.Node{lost, closed} {
		select {
		case <-n.Done():
		case <-time.After(10 * time.Second):
			t.Fatalf("%v is not done", n)
		}
		_, err := echo.Call(t.Context(), n, nil)
		if !errors.Is(err, contexts.ErrGone) || !strings.Contains(err.Error(), n.String()) {
			t.Errorf("a call: %v", err)
		}
		if _, err := shout.Dial(t.Context(), n, ""); !errors.Is(err, contexts.ErrGone) {
			t.Errorf("a stream: %v", err)
		}
	}
	if err := lost.Err(); !errors.Is(err, contexts.ErrGone) || strings.Count(err.Error(), contexts.ErrGone.Error()) != 1 {
		t.Errorf("the reason is %v", err)
	}
	if err := closed.Err(); !errors.Is(err, contexts.ErrClosed) {
		t.Errorf("the reason is %v", err)
	}
}

// The number of a node means somebody else in another tree, and the zero Node would
// be the master.
func TestANodeOfAnotherTreeDoesNotTravel(t *testing.T) {
	self, other := start(t, nil), start(t, nil)
	a, b := child(t, self), child(t, self)
	stranger := child(t, other)
	for name, n := range map[string]*contexts.Node{"of another tree": stranger, "of no tree": {}} {
		t.Run(name, func(t *testing.T) {
			if got, err := relayCall.Call(t.Context(), a, n); err == nil || !strings.Contains(err.Error(), "not part of a tree here") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	if _, err := relayCall.Call(t.Context(), a, b); err != nil {
		t.Error(err)
	}
}

func TestSelfOfANode(t *testing.T) {
	self, other := start(t, nil), start(t, nil)
	b := child(t, child(t, self))
	if self.Local() != self || b.Local() != self || child(t, other).Local() != other {
		t.Error("not the local context of the tree")
	}
	var nobody *contexts.Node
	if nobody.Local() != nil || new(contexts.Node).Local() != nil {
		t.Error("a node of no tree has a local context")
	}
}

// A hop that is made by another context goes the way it was told or none: never
// from there to the server itself.
func TestAHopGoesNoOtherWay(t *testing.T) {
	self := start(t, nil)
	a, b, closed := child(t, self), child(t, self), child(t, self)
	stranger := child(t, start(t, nil))
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	addr := server.Addr().(*net.TCPAddr)
	trace := filepath.Join(t.TempDir(), "trace")
	hop := func(change func(*ssh.Login)) ssh.Login {
		s := ssh.Login{Host: addr.IP.String(), Port: addr.Port, NoConfig: true, NoAgent: true, KnownHostsFiles: []string{}}
		change(&s)
		return s
	}
	for name, test := range map[string]struct {
		hop    ssh.Login
		reason error
	}{
		"no node":         {hop(func(s *ssh.Login) { s.Through = (*contexts.Node)(nil) }), connect.ErrStart},
		"of another tree": {hop(func(s *ssh.Login) { s.Through = stranger }), connect.ErrStart},
		"closed":          {hop(func(s *ssh.Login) { s.Through = closed }), contexts.ErrGone},
		"a plain dialer":  {hop(func(s *ssh.Login) { s.Through = new(net.Dialer) }), connect.ErrStart},
		"a plain dialer to the jump host": {hop(func(s *ssh.Login) {
			s.ProxyJump = []ssh.Login{hop(func(s *ssh.Login) { s.Through = new(net.Dialer) })}
		}), connect.ErrStart},
		"and a command besides": {hop(func(s *ssh.Login) {
			s.Through, s.ProxyCommand = b, "echo > "+trace
		}), connect.ErrStart},
	} {
		t.Run(name, func(t *testing.T) {
			if n, err := a.Connect(t.Context(), test.hop); !errors.Is(err, test.reason) {
				t.Errorf("%v, %v", n, err)
			}
			if _, err := a.Probe(t.Context(), test.hop); !errors.Is(err, test.reason) || strings.Count(err.Error(), test.hop.Label()) != 1 {
				t.Errorf("probe: %v", err)
			}
		})
	}
	if _, err := os.Stat(trace); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the command was run: %v", err)
	}
	ours, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	first, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if first.RemoteAddr().String() != ours.LocalAddr().String() {
		t.Error("the server was reached")
	}
}
