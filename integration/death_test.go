//go:build linux

package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
	"github.com/mitosis-go/mitosis/router"
)

// deathBudget is the time after which a tree whose master has died must have no process left.
const deathBudget = 5 * time.Second

// misbehave makes a context that does not end when it is asked to. The same goes for its
// goroutines, its programs, and their daemons.
var misbehave = contexts.NewFunc("lab.misbehave", func(context.Context, struct{}) (struct{}, error) {
	signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	go func() {
		// The lowest priority keeps it from slowing down the tests.
		runtime.LockOSThread()
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19)
		for spins := 0; ; spins++ {
		}
	}()
	for _, script := range []string{
		"trap '' TERM HUP INT; while :; do sleep 1000; done",
		"trap '' TERM HUP INT; renice 19 $$ >/dev/null; while :; do :; done",
		"kill -STOP $$",
		"(trap '' TERM HUP INT; setsid setsid sleep 1000 </dev/null >/dev/null 2>&1 &)",
		"setsid -f sh -c 'trap \"\" TERM HUP INT; cd /; sleep 1000 & sleep 1000' </dev/null >/dev/null 2>&1",
	} {
		if err := exec.Command("/bin/sh", "-c", script).Start(); err != nil {
			return struct{}{}, err
		}
	}
	return struct{}{}, nil
})

// deaf is a call that does not end when it is cancelled.
var deaf = contexts.NewFunc("lab.deaf", func(context.Context, struct{}) (struct{}, error) { select {} })

func kill(t *testing.T, host *lab.Running, sig syscall.Signal, pids ...int) {
	t.Helper()
	if len(pids) == 0 {
		t.Fatalf("no process on %s to send %v to: %v", host.Name(), sig, host.Processes())
	}
	for _, pid := range pids {
		// The end of one process may be that of another in the list.
		if err := host.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
}

// However the master dies, and in every state of its descendants, no process of the tree is left
// on any host a few seconds later.
func TestMasterDies(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	key := lab.NewClientKey(t)
	for name, test := range map[string]struct {
		signal syscall.Signal
		before func(t *testing.T, f *family)
	}{
		"SIGKILL": {signal: syscall.SIGKILL},
		"SIGTERM": {signal: syscall.SIGTERM},
		"SIGINT":  {signal: syscall.SIGINT},
		"SIGKILL while its descendants are stopped": {syscall.SIGKILL, func(t *testing.T, f *family) {
			kill(t, f.middleHost, syscall.SIGSTOP, workers(f.middleHost)...)
			kill(t, f.leafHost, syscall.SIGSTOP, workers(f.leafHost)...)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFamily(t, key)
			client := clientHost(t, key, nil, f.middleHost)
			f.scenes = append(f.scenes, look(client))
			binary, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			m := startMaster(t, client, orders{Family: f.hops()}, binary, "-test.run=^TestActAsMaster$")
			m.await(t)
			if test.before != nil {
				test.before(t, f)
			}
			m.end(t, test.signal)
			f.gone(t)
		})
	}
}

// A context that dies in the middle ends all contexts below it. The master learns the reason,
// and the rest of the tree goes on.
func TestMiddleDies(t *testing.T) {
	lab.Require(t)
	key := lab.NewClientKey(t)
	// On the middle host, the first worker and the first guard are those of middle.
	for name, murder := range map[string]func(t *testing.T, host *lab.Running){
		"its worker": func(t *testing.T, host *lab.Running) { kill(t, host, syscall.SIGKILL, workers(host)[:1]...) },
		"its guard":  func(t *testing.T, host *lab.Running) { kill(t, host, syscall.SIGKILL, guards(host)[:1]...) },
		"its worker, the others being stopped": func(t *testing.T, host *lab.Running) {
			kill(t, host, syscall.SIGSTOP, workers(host)...)
			kill(t, host, syscall.SIGKILL, workers(host)[:1]...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFamily(t, key)
			self := master(t, nil)
			bystander := child(t, self, local.Child{})
			before := holding(t)
			h := f.hops()
			h.Middle = withKey(reach(t, f.middleHost, "deploy"), key)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			middle, local, leaf, err := h.raise(ctx, self)
			if err != nil {
				t.Fatal(err)
			}
			pending := echo.Go(ctx, leaf, make([]byte, 1<<20))
			murder(t, f.middleHost)
			for _, n := range []*contexts.Node{middle, local, leaf} {
				select {
				case <-n.Done():
					if !errors.Is(n.Err(), contexts.ErrGone) {
						t.Errorf("%v ended by %v, want %v", n, n.Err(), contexts.ErrGone)
					}
				case <-time.After(stretched(deathBudget)):
					t.Errorf("after %v the master does not know that %v is gone", stretched(deathBudget), n)
				}
				if _, err := echo.Call(ctx, n, nil); !errors.Is(err, contexts.ErrGone) {
					t.Errorf("a call to %v ended with %v, want %v", n, err, contexts.ErrGone)
				}
			}
			if _, err := pending.Wait(); err != nil && !errors.Is(err, contexts.ErrGone) {
				t.Errorf("the call under way ended with %v, want %v or no error", err, contexts.ErrGone)
			}
			f.gone(t)
			answers(t, bystander, os.Getuid())
			before.released(t)
		})
	}
}

// Close also ends programs that ignore signals, within the time that Config allows. It gives all
// descriptors and processes back.
func TestCloseWhateverTheyDo(t *testing.T) {
	lab.Require(t)
	key := lab.NewClientKey(t)
	for _, stopped := range []bool{false, true} {
		t.Run(map[bool]string{false: "misbehaving", true: "stopped"}[stopped], func(t *testing.T) {
			f := newFamily(t, key)
			before, children := holding(t), childProcesses(t)
			log, _ := newJournal(t)
			self, err := contexts.Start(t.Context(), &contexts.Config{Log: log, CloseTimeout: 2 * time.Second, PackedDir: nothingKept})
			if err != nil {
				t.Fatal(err)
			}
			h := f.hops()
			h.Middle = withKey(reach(t, f.middleHost, "deploy"), key)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if _, _, _, err := h.raise(ctx, self); err != nil {
				t.Fatal(err)
			}
			local := child(t, self, local.Child{})
			if _, err := misbehave.Call(ctx, local, struct{}{}); err != nil {
				t.Fatal(err)
			}
			if stopped {
				kill(t, f.middleHost, syscall.SIGSTOP, workers(f.middleHost)...)
				kill(t, f.leafHost, syscall.SIGSTOP, workers(f.leafHost)...)
			}
			start := time.Now()
			if err := self.Close(); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took > stretched(deathBudget) {
				t.Errorf("closing took %v, want at most %v", took, stretched(deathBudget))
			}
			f.gone(t)
			before.released(t)
			if now := childProcesses(t); now != children {
				t.Errorf("the test has the processes %q, want those from before, %q", now, children)
			}
		})
	}
}

// By the heartbeat, both ends notice a link that was silently cut.
func TestLinkCut(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	key := lab.NewClientKey(t)
	const heartbeat, missed = 500 * time.Millisecond, 6 // on a busy machine, too, an answer comes in 3 s
	f := newFamily(t, key)
	self := master(t, &contexts.Config{Limits: router.Limits{Heartbeat: heartbeat, Missed: missed}})
	bystander := child(t, self, local.Child{})
	h := f.hops()
	h.Middle = withKey(reach(t, f.middleHost, "deploy"), key)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	middle, local, leaf, err := h.raise(ctx, self)
	if err != nil {
		t.Fatal(err)
	}

	// The leaf loses its link to the middle, and ends all processes that it has started.
	if err := f.leafHost.Cut(); err != nil {
		t.Fatal(err)
	}
	expectGone(t, leaf, missed*heartbeat+deathBudget)
	eventually(t, missed*heartbeat+deathBudget, "the contexts behind the cut have ended", func() bool {
		return len(workers(f.leafHost)) == 0 && len(guards(f.leafHost)) == 0 && len(having(f.leafHost, "1000")) == 0
	})
	answers(t, local, 2000)

	if err := f.middleHost.CutFrom(nil); err != nil {
		t.Fatal(err)
	}
	expectGone(t, middle, missed*heartbeat+deathBudget)
	expectGone(t, local, deathBudget)
	eventually(t, missed*heartbeat+deathBudget, "the contexts behind the cut have ended", func() bool {
		return len(workers(f.middleHost)) == 0 && len(guards(f.middleHost)) == 0 && len(having(f.middleHost, "1000")) == 0
	})
	answers(t, bystander, os.Getuid())

	// sshd notices the loss only when the network is back.
	if err := errors.Join(f.leafHost.Heal(), f.middleHost.HealFrom(nil)); err != nil {
		t.Fatal(err)
	}
	// A guard that wakes executes itself. Meanwhile it has no arguments, by which the test
	// recognises guards.
	for _, s := range f.scenes {
		eventually(t, deathBudget, "nothing but sshd is left on "+s.host.Name(), func() bool {
			for _, p := range s.newProcesses() {
				if p.Comm != "sshd" && p.Comm != "sshd-session" {
					return false
				}
			}
			return true
		})
		s.untouched(t)
	}
}

func expectGone(t *testing.T, n *contexts.Node, limit time.Duration) {
	t.Helper()
	limit = stretched(limit)
	select {
	case <-n.Done():
		if !errors.Is(n.Err(), contexts.ErrGone) {
			t.Errorf("%v ended by %v, want %v", n, n.Err(), contexts.ErrGone)
		}
	case <-time.After(limit):
		t.Fatalf("after %v the master does not know that %v is gone", limit, n)
	}
}

// A master that is interrupted at any moment while it connects twenty hosts leaves nothing on
// any of them.
func TestInterruptedConnects(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	key := lab.NewClientKey(t)
	const hosts, users = 5, 4
	moments := 50
	if testing.Short() {
		moments = 15
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	program := build(t, "many")

	var servers []*lab.Running
	var scenes []scene
	var o orders
	for range hosts {
		h := lab.Host{SSHD: &lab.SSHD{}}
		for u := range users {
			h.Users = append(h.Users, lab.User{Name: fmt.Sprintf("user%d", u), Keys: []string{key.Authorized}})
		}
		server := lab.Start(t, h)
		servers = append(servers, server)
		for _, u := range h.Users {
			o.All = append(o.All, onHosts(server, u.Name))
		}
	}
	client := clientHost(t, key, []string{program + ":ro"}, servers...)
	for _, s := range append(slices.Clone(servers), client) {
		scenes = append(scenes, look(s))
	}

	// The moments of the interrupts are chosen from the time that all connects take.
	start := time.Now()
	m := startMaster(t, client, o, program)
	m.await(t)
	span := time.Since(start)
	t.Logf("twenty connects take %v", span)
	m.end(t, syscall.SIGTERM)
	ready := 0
	for i := range moments {
		for _, s := range scenes {
			s.restored(t, deathBudget)
		}
		if t.Failed() {
			t.Fatalf("the master interrupted at moment %d has left something", i)
		}
		m := startMaster(t, client, o, program)
		select {
		case err := <-m.ready:
			if err != nil {
				t.Fatal(err)
			}
			ready++
		case <-time.After(time.Duration(random.Int64N(int64(span)))):
		}
		m.end(t, []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}[i%2])
	}
	for _, s := range scenes {
		s.restored(t, deathBudget)
	}
	t.Logf("%d of %d times all were connected before the signal", ready, moments)
}
