package router

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// fakeTree makes a master and a child inside of a bubble of fake time, and
// ends them before the bubble does.
func fakeTree(t *testing.T, f func(m, k *testNode)) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaster(t, Config{})
		k := m.child(Config{})
		f(m, k)
		k.close()
		m.close()
	})
}

func TestTheHeartbeatKeepsAnIdleLink(t *testing.T) {
	fakeTree(t, func(m, k *testNode) {
		time.Sleep(time.Hour)
		if m.seen(EventLeft) != nil || k.up.Err() != nil {
			t.Error("an idle link was lost")
		}
		if k.down.Stats().RTT <= 0 {
			t.Error("no round trip was measured")
		}
		m.mustCall(k.Self(), "hello")
	})
}

// silent is a carrier on which nothing comes and whatever is written gets
// stuck, until it is closed.
type silent struct{ discard }

func (s *silent) Write([]byte) (int, error) { <-s.c; return 0, io.ErrClosedPipe }

func TestADeadPeerIsNoticed(t *testing.T) {
	for name, c := range map[string]func() io.ReadWriteCloser{
		"writes vanish":    func() io.ReadWriteCloser { return &discard{c: make(chan struct{})} },
		"writes are stuck": func() io.ReadWriteCloser { return &silent{discard{c: make(chan struct{})}} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMaster(t, Config{})
				id, _, _ := m.AllocID(context.Background())
				l, err := m.Attach(context.Background(), LinkConfig{Peer: id, Carrier: c()})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				if _, err := m.callFor(id, time.Hour); !errors.Is(err, core.ErrGone) {
					t.Errorf("the call ended with %v, want ErrGone", err)
				}
				if d := time.Since(start); d < 40*time.Second || d > 61*time.Second {
					t.Errorf("it took %v", d)
				}
				<-l.Done()
				if !strings.Contains(l.Err().Error(), "45s") {
					t.Errorf("the link ended with %v, want the time that has passed in it, 45s", l.Err())
				}
				m.close()
			})
		})
	}
}

// callFor is call with another deadline.
func (n *testNode) callFor(dst core.ID, d time.Duration) (Message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	reply := n.NewReply(dst)
	defer reply.Close()
	if err := n.Send(ctx, dst, core.HandleCall, reply.Handle(), 0, nil); err != nil {
		return Message{}, err
	}
	select {
	case m := <-reply.C():
		return m, m.Err
	case <-ctx.Done():
		return Message{}, ctx.Err()
	}
}

func TestAPeerThatSendsAndDoesNotReadIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaster(t, Config{})
		a, b := net.Pipe()
		id, _, _ := m.AllocID(context.Background())
		l, err := m.Attach(context.Background(), LinkConfig{Peer: id, Carrier: a})
		if err != nil {
			t.Fatal(err)
		}
		var talking sync.WaitGroup
		defer talking.Wait()
		talking.Go(func() {
			for i := range 1000 {
				time.Sleep(time.Second)
				h := core.Header{Src: id, Auth: id, Handle: core.HandlePing}
				if _, err := b.Write(append(core.AppendHeader(nil, &h, 1), byte(i%20))); err != nil {
					return
				}
			}
		})
		start := time.Now()
		<-l.Done()
		if d := time.Since(start); d > 2*time.Minute {
			t.Errorf("it took %v", d)
		}
		m.close()
		b.Close()
	})
}

func TestCloseDoesNotWaitForAPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaster(t, Config{})
		id, _, _ := m.AllocID(context.Background())
		if _, err := m.Attach(context.Background(), LinkConfig{Peer: id, Carrier: &silent{discard{c: make(chan struct{})}}}); err != nil {
			t.Fatal(err)
		}
		_ = m.Send(context.Background(), id, core.HandleCall, 0, 0, nil)
		start := time.Now()
		m.close()
		if d := time.Since(start); d > 300*time.Millisecond {
			t.Errorf("it took %v", d)
		}
	})
}
