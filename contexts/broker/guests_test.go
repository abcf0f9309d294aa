//go:build linux

package broker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/broker"
	"github.com/mitosis-go/mitosis/contexts/pool"
)

// actAsGuest joins the broker and has it connect a path; then it runs a script there.
func actAsGuest(ctx context.Context, args []string) error {
	c, err := broker.Dial(ctx, &broker.DialConfig{Socket: args[0]})
	if errors.Is(err, bootstrap.ErrFingerprint) {
		fmt.Println("another program")
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Close()
	l, err := c.Get(ctx, args[1])
	if err != nil {
		return err
	}
	cmd := l.Node().Command(ctx, "sleep", "1000")
	if err := cmd.Start(); err != nil {
		return err
	}
	fmt.Println(cmd.Pid)
	if len(args) > 2 {
		l.Release()
		l.Release()
		fmt.Println("released")
	}
	untilDismissed()
	return nil
}

func (s *served) guest(tree *contexts.Config) *broker.Client {
	s.t.Helper()
	g, err := broker.Dial(s.t.Context(), &broker.DialConfig{Socket: s.socket, Tree: tree})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = g.Close() })
	return g
}

func TestGuests(t *testing.T) {
	t.Parallel()
	s := serve(t, &broker.Config{Pool: pool.Config{Idle: -1}})
	look := s.dial()
	a := act(t, "guest", s.socket, "local/local")
	pid := 0
	if _, err := fmt.Sscan(a.hear(), &pid); err != nil {
		t.Fatal(err)
	}
	st := look.status()
	if len(st.Connections) != 2 || st.Uses != 2 { // it is there, and has a lease
		t.Errorf("%+v, want a connection through another, and two uses", st)
	}
	b := act(t, "guest", s.socket, "local/local", "release")
	b.hear()
	b.want("released")
	eventually(t, "one lease was given back", func() bool { return look.status().Uses == 3 })
	_ = b.end(0)
	_ = a.end(syscall.SIGKILL)
	gone(t, pid, deathTime, "its guest was killed")
	eventually(t, "the leases of dead guests are given back", func() bool { st := look.status(); return st.Uses == 0 && len(st.Connections) == 0 })
}

func TestGuestInThisProcess(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	g := s.guest(nil)
	l, err := g.Get(t.Context(), "local")
	if err != nil {
		t.Fatal(err)
	}
	out, err := l.Node().Command(t.Context(), "echo", "well").Output()
	if err != nil || string(out) != "well\n" {
		t.Errorf("%q, %v; want well", out, err)
	}
	bulk, err := g.GetHops(t.Context(), "bulk", hops(t, "local")...)
	if err != nil || bulk.Node().ID() == l.Node().ID() {
		t.Errorf("%v, %v; want another connection in another pool", bulk, err)
	}
	if tree, err := g.Tree(t.Context()); err != nil || len(tree) < 4 {
		t.Errorf("%v, %v; want the broker, the guest, and two hosts", tree, err)
	}
	if _, err := g.Get(t.Context(), "nothing:x"); err == nil {
		t.Error("a path that is none was connected")
	}
	// What the guest has started ends with its Close, and its lease is given back.
	cmd := l.Node().Command(t.Context(), "sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	gone(t, cmd.Pid, deathTime, "its guest has left")
	_ = cmd.Wait()
	look := s.dial()
	eventually(t, "its leases are given back", func() bool { return look.status().Uses == 0 })
	// The broker's end is an error for those who are there.
	g = s.guest(nil)
	if l, err = g.Get(t.Context(), "local"); err != nil {
		t.Fatal(err)
	}
	s.cancel()
	_ = s.wait("its ctx has ended")
	begin := time.Now()
	if err := l.Node().Command(t.Context(), "true").Run(); err == nil {
		t.Error("a command ran at a host of a broker that has ended")
	}
	if _, err := g.Get(t.Context(), "local"); err == nil {
		t.Error("a broker that has ended lent a connection")
	}
	l.Release()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the errors came after %v", took)
	}
}

// A guest whose call is given up, at whatever moment, holds nothing.
func TestGuestGivesUp(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	g := s.guest(nil)
	look := s.dial()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 60 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(3000))*time.Microsecond)
				if l, err := g.Get(ctx, "local"); err == nil {
					l.Release()
				}
				cancel()
			}
		})
	}
	all.Wait()
	// A call that was given up may still begin, and is ended then.
	eventually(t, "only its membership is a use", func() bool { return look.status().Uses == 1 })
}

func TestAllowHoldsForGuests(t *testing.T) {
	t.Parallel()
	s := serve(t, &broker.Config{Allow: []string{"local"}})
	s.dial().ask(header{"op": "open", "path": "local/local"}).want(t, "")
	g := s.guest(nil)
	if _, err := g.Get(t.Context(), "ask:x"); err == nil || !strings.Contains(err.Error(), "allow") {
		t.Errorf("%v, want that it is not allowed", err)
	}
	l, err := g.Get(t.Context(), "local")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	if err := l.Node().Command(t.Context(), "true").Run(); err != nil {
		t.Error(err)
	}
	if err := g.Broker().Command(t.Context(), "true").Run(); !errors.Is(err, contexts.ErrRefused) {
		t.Errorf("a command at the broker itself: %v, want that it is refused", err)
	}
}

// A program that was built from other sources is refused, and says so.
func TestAnotherBuild(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	other := t.TempDir() + "/other.test"
	build := exec.Command("go", "test", "-c", "-tags", "another_build", "-o", other, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	a := actWith(t, func(cmd *exec.Cmd) { cmd.Path = other }, "guest", s.socket, "local")
	a.want("another program")
	if s.dial().run("echo well") != "well\n" {
		t.Error("the broker does not go on")
	}
}
