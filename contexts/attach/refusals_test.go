//go:build linux

package attach_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/attach"
	"github.com/mitosis-go/mitosis/contexts/internal/succession"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
	"github.com/mitosis-go/mitosis/core"
)

// nested is a master that is below another context's guard.
var nested = contexts.NewFunc("test.nested", func(ctx context.Context, _ struct{}) (struct{}, error) {
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		return struct{}{}, err
	}
	defer self.Close()
	n, err := self.Connect(ctx, local.Child{})
	if err == nil {
		_, err = attach.Detach(ctx, n, attach.Terms{})
	}
	return struct{}{}, err
})

// held is a hop whose tool would take the far side along.
type held struct{ local.Child }

func (h held) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	c, err := h.Child.Open(ctx, e)
	return struct{ bootstrap.Carrier }{c}, err
}

// TestWhatCannotBeDetached is refused, and goes on as it was.
func TestWhatCannotBeDetached(t *testing.T) {
	self := treetest.Start(t, nil)
	n := treetest.Child(t, self)
	tool, err := self.Connect(t.Context(), held{})
	if err != nil {
		t.Fatal(err)
	}
	below := treetest.Child(t, n)
	for name, c := range map[string]struct {
		n     *contexts.Node
		lease time.Duration
		class error
	}{
		"the master":              {self, 0, contexts.ErrRefused},
		"two hops away":           {below, 0, contexts.ErrRefused},
		"a tool is in between":    {tool, 0, errors.ErrUnsupported},
		"hardly any lease":        {n, time.Millisecond, os.ErrInvalid},
		"a lease that is no time": {n, -time.Hour, os.ErrInvalid},
	} {
		if _, err := attach.Detach(t.Context(), c.n, attach.Terms{Lease: c.lease}); !errors.Is(err, c.class) {
			t.Errorf("%s: got %v, want %v", name, err, c.class)
		}
		if _, err := pid.Call(t.Context(), c.n, struct{}{}); err != nil {
			t.Errorf("%s: calling the context afterwards: %v, want that it lives", name, err)
		}
	}
	if _, err := nested.Call(t.Context(), n, struct{}{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("below another context: got %v, want errors.ErrUnsupported", err)
	}
}

// TestGuardsThatDoNotSleep: where a guard can't become the program that waits in its
// place, it waits itself.
func TestGuardsThatDoNotSleep(t *testing.T) {
	t.Parallel()
	master := act(t, "master", "4s", func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"sh", "-c", `ulimit -f 0; exec "$0" "$@"`}, cmd.Args...)
		cmd.Path = "/bin/sh"
	})
	v := master.must()
	master.end(0)
	if waitsForLease(v.pid("its guard")) {
		t.Error("the guard has become the program that waits, want that it waits itself, as it can not write that program")
	}
	allLive(t, v)
	allEnd(t, v)
}

// message is what is said on sockets: see talk.go.
func message(t *testing.T, v any) []byte {
	t.Helper()
	body, err := core.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	h := core.Header{Handle: core.HandleHello}
	return append(core.AppendHeader(nil, &h, len(body)), body...)
}

type anyKnock struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Purpose uint8
	Hello   bootstrap.Hello
}

// TestTalkThatLeadsNowhere: whatever is said, both kinds of sockets go on.
func TestTalkThatLeadsNowhere(t *testing.T) {
	self := treetest.Start(t, nil)
	ln := listen(t, self, nil)
	master, v, d := detached(t, time.Minute)
	defer master.end(0)

	trees := succession.Trees.(interface{ Fingerprint() [32]byte })
	ours := bootstrap.NewHello(trees.Fingerprint())
	theirs := ours
	theirs.Fingerprint[0] ^= 1
	old := ours
	old.Version++
	call := core.Header{Handle: core.HandleCall, Reply: core.FirstDynamic}
	cases := map[string]struct {
		say   []byte
		class error
	}{
		"noise":             {[]byte("GET / HTTP/1.0\r\n\r\n"), core.ErrProtocol},
		"half a message":    {message(t, anyKnock{Version: 1, Purpose: 1, Hello: ours})[:20], nil},
		"another message":   {message(t, "knock"), core.ErrProtocol},
		"a call":            {core.AppendHeader(nil, &call, 0), core.ErrProtocol},
		"no purpose":        {message(t, anyKnock{Version: 1, Purpose: 0, Hello: ours}), contexts.ErrRefused},
		"another version":   {message(t, anyKnock{Version: 2, Purpose: 1, Hello: ours}), contexts.ErrRefused},
		"another program":   {message(t, anyKnock{Version: 1, Hello: theirs}), bootstrap.ErrFingerprint},
		"another bootstrap": {message(t, anyKnock{Version: 1, Hello: old}), bootstrap.ErrVersion},
	}
	for socket, purpose := range map[string]uint8{ln.Path(): 1, d.Socket: 2} {
		for name, c := range cases {
			say := c.say
			switch name { // those that have to be for this socket
			case "another program":
				say = message(t, anyKnock{Version: 1, Purpose: purpose, Hello: theirs})
			case "another bootstrap":
				say = message(t, anyKnock{Version: 1, Purpose: purpose, Hello: old})
			}
			answer := talkTo(t, socket, say)
			if c.class != nil && !errors.Is(answer, c.class) {
				t.Errorf("%s: %s: got %v, want %v", socket, name, answer, c.class)
			}
		}
		// The purpose of the other kind.
		if err := talkTo(t, socket, message(t, anyKnock{Version: 1, Purpose: 3 - purpose, Hello: ours})); !errors.Is(err, contexts.ErrRefused) {
			t.Errorf("%s: the other purpose: got %v, want ErrRefused", socket, err)
		}
		// Many who say nothing are turned away at some point, and are no lasting harm.
		var silent []net.Conn
		for range 40 {
			c, err := net.Dial("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			silent = append(silent, c)
		}
		if _, err := silent[39].Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: it sends something to a client that is silent, want that it closes", socket)
		}
		for _, c := range silent {
			c.Close()
		}
	}
	treetest.Eventually(t, "a process can join", func() bool {
		m, err := attach.Join(t.Context(), ln.Path(), nil)
		if err != nil {
			return false
		}
		tree, err := m.Tree(t.Context())
		return err == nil && len(tree) == 2 && m.Close() == nil
	})
	treetest.Eventually(t, "a master can come", func() bool {
		n, err := attach.Attach(t.Context(), self, d, nil)
		return err == nil && n.Close() == nil
	})
	allEnd(t, v)
}

// talkTo says something and returns the refusal.
func talkTo(t *testing.T, socket string, say []byte) error {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(say); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	f, err := core.NewReader(c).Next()
	if err != nil {
		if !errors.Is(err, io.EOF) {
			t.Errorf("got %v, want io.EOF", err)
		}
		return nil
	}
	defer f.Release()
	if f.Flags&core.Dead == 0 {
		t.Errorf("the answer is %x, want a failure", f.Body)
		return nil
	}
	return core.DecodeError(f.Body)
}

func TestJoinGivesUpWithItsContext(t *testing.T) {
	ln, err := net.Listen("unix", "@mitosis-test-"+t.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		c, err := ln.Accept()
		if err == nil {
			_, _ = c.Read(make([]byte, 1))
			cancel(io.ErrNoProgress)
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	if _, err := attach.Join(ctx, ln.Addr().String(), nil); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v, want the cause of ctx, io.ErrNoProgress", err)
	}
}
