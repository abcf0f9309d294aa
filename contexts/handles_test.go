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

// A context that is lost further down is gone, as a child is. Calls to it and streams fail.
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
			t.Fatalf("after 10 s Done of %v is not closed", n)
		}
		_, err := echo.Call(t.Context(), n, nil)
		if !errors.Is(err, contexts.ErrGone) || !strings.Contains(err.Error(), n.String()) {
			t.Errorf("a call to %v ended with %v, want %v with the path", n, err, contexts.ErrGone)
		}
		if _, err := shout.Dial(t.Context(), n, ""); !errors.Is(err, contexts.ErrGone) {
			t.Errorf("a stream to %v failed with %v, want %v", n, err, contexts.ErrGone)
		}
	}
	if err := lost.Err(); !errors.Is(err, contexts.ErrGone) || strings.Count(err.Error(), contexts.ErrGone.Error()) != 1 {
		t.Errorf("the lost node has the error %v, want %v, said once", err, contexts.ErrGone)
	}
	if err := closed.Err(); !errors.Is(err, contexts.ErrClosed) {
		t.Errorf("the closed node has the error %v, want %v", err, contexts.ErrClosed)
	}
}

// The ID of a node belongs to another context in another tree, and the ID of the zero Node is that
// of the master. So such nodes can't be passed.
func TestANodeOfAnotherTreeDoesNotTravel(t *testing.T) {
	self, other := start(t, nil), start(t, nil)
	a, b := child(t, self), child(t, self)
	stranger := child(t, other)
	for name, n := range map[string]*contexts.Node{"of another tree": stranger, "of no tree": {}} {
		t.Run(name, func(t *testing.T) {
			if got, err := relayCall.Call(t.Context(), a, n); err == nil || !strings.Contains(err.Error(), "not part of a tree here") {
				t.Errorf("passing the node returned %q, %v, want an error that it is not part of a tree here", got, err)
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
		t.Error("Local of a node is not the local context of its tree, want it to be")
	}
	var nobody *contexts.Node
	if nobody.Local() != nil || new(contexts.Node).Local() != nil {
		t.Error("a node of no tree has a local context, want nil")
	}
}

// A hop that another context makes goes through the context that it names, or fails. It never goes
// from there to the server directly.
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
				t.Errorf("the hop returned %v, %v, want %v", n, err, test.reason)
			}
			if _, err := a.Probe(t.Context(), test.hop); !errors.Is(err, test.reason) || strings.Count(err.Error(), test.hop.Label()) != 1 {
				t.Errorf("the probe failed with %v, want %v with the hop's label once", err, test.reason)
			}
		})
	}
	if _, err := os.Stat(trace); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file that the hop's command would make: %v, want none", err)
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
		t.Error("the server has got a connection from a hop, want none")
	}
}
