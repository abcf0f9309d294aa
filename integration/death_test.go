//go:build linux

package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
	"github.com/mitosis-go/mitosis/router"
)

// deathBudget is the time after which nothing may be left of a tree whose
// master died.
const deathBudget = 5 * time.Second

// misbehave fills a context with what does not end when it is asked to: the
// context itself, its goroutines, its programs and their daemons.
var misbehave = contexts.NewFunc("lab.misbehave", func(context.Context, struct{}) (struct{}, error) {
	signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	go func() {
		// It takes what nobody else wants, so that the tests are not slowed down.
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

// A family is two hosts with contexts in a row: master, middle on the first, a
// local child of that, and one on the second that the middle reached by ssh.
type family struct {
	middleHost, leafHost *lab.Running
	scenes               []scene
}

// hops of a family. They travel to another process as JSON and so hold no
// secret.
type hops struct{ Middle, Leaf connect.SSH }

// keys is where a host's user has the key for the next one.
const keyFile, knownFile = "/home/deploy/.ssh/id_ed25519", "/home/deploy/.ssh/known_hosts"

func newFamily(t *testing.T, key lab.ClientKey) *family {
	t.Helper()
	users := []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}}
	f := new(family)
	f.leafHost = lab.Start(t, lab.Host{Users: users, SSHD: &lab.SSHD{}})
	f.middleHost = lab.Start(t, lab.Host{Users: users, SSHD: &lab.SSHD{}, Files: map[string]string{
		keyFile: key.Private, knownFile: f.leafHost.KnownHosts(),
	}})
	f.scenes = []scene{look(f.middleHost), look(f.leafHost)}
	return f
}

// onHosts is a hop whose key and known hosts are files of the host it begins at.
func onHosts(host *lab.Running, user string) connect.SSH {
	return connect.SSH{
		Host: host.IP(), User: user, NoConfig: true, NoAgent: true, IdentitiesOnly: true,
		IdentityFiles: []string{keyFile}, KnownHostsFiles: []string{knownFile},
	}
}

func (f *family) hops() hops {
	return hops{onHosts(f.middleHost, "deploy"), onHosts(f.leafHost, "deploy")}
}

// raise brings the family to life. All of its contexts misbehave.
func (h hops) raise(ctx context.Context, self *contexts.Node) (middle, local, leaf *contexts.Node, err error) {
	if middle, err = self.Connect(ctx, h.Middle); err != nil {
		return
	}
	if local, err = middle.Connect(ctx, connect.Local{}); err != nil {
		return
	}
	if leaf, err = middle.Connect(ctx, h.Leaf); err != nil {
		return
	}
	for _, n := range []*contexts.Node{middle, local, leaf} {
		if _, err = misbehave.Call(ctx, n, struct{}{}); err != nil {
			return
		}
		deaf.Go(context.Background(), n, struct{}{})
	}
	return
}

// gone makes sure that nothing of the family is left on its hosts.
func (f *family) gone(t *testing.T) {
	t.Helper()
	start := time.Now()
	for _, s := range f.scenes {
		s.restored(t, deathBudget)
	}
	t.Logf("everything had ended after %v", time.Since(start))
}

// workers are the processes on a host in which contexts run.
func workers(host *lab.Running) []int { return having(host, "mitosis:worker=") }

// guards watch the workers.
func guards(host *lab.Running) []int { return having(host, "mitosis:guard=") }

func having(host *lab.Running, argument string) (pids []int) {
	for _, p := range host.Processes() {
		if len(p.Cmdline) > 1 && strings.HasPrefix(p.Cmdline[1], argument) {
			pids = append(pids, p.PID)
		}
	}
	return pids
}

func kill(t *testing.T, host *lab.Running, sig syscall.Signal, pids ...int) {
	t.Helper()
	if len(pids) == 0 {
		t.Fatalf("no process on %s to send %v to: %v", host.Name(), sig, host.Processes())
	}
	for _, pid := range pids {
		if err := host.Kill(pid, sig); err != nil {
			t.Fatal(err)
		}
	}
}

// orders are what a master in a process of its own is to do; see
// TestActAsMaster.
type orders struct {
	Family hops
	All    []connect.SSH // of testdata/many: connected side by side
}

const ordersVariable = "MITOSIS_TEST_ORDERS"

// TestActAsMaster is not a test but a master whose death is one: it is executed
// in a host, and does what the environment says.
func TestActAsMaster(t *testing.T) {
	text := os.Getenv(ordersVariable)
	if text == "" {
		t.Skip("is executed by other tests")
	}
	var o orders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	// A child on the master's own host has no tool in between.
	if _, err := misbehave.Call(ctx, child(t, self, connect.Local{}), struct{}{}); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := o.Family.raise(ctx, self); err != nil {
		t.Fatal(err)
	}
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

// A separateMaster is one that can be killed.
type separateMaster struct {
	cmd   *lab.Cmd
	ready chan error // one value: nil, or why the master was never ready
}

// startMaster executes a master on a host.
func startMaster(t *testing.T, host *lab.Running, o orders, argv ...string) *separateMaster {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	argv = append([]string{"/usr/bin/env", ordersVariable + "=" + string(text)}, argv...)
	m := &separateMaster{
		cmd:   host.CommandAs(t.Context(), "deploy", argv...),
		ready: make(chan error, 1),
	}
	if _, err := m.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	m.cmd.Stderr = m.cmd.Stdout
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		var said strings.Builder
		told := false
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if lines.Text() == "ready" {
				m.ready <- nil
				told = true
			}
			fmt.Fprintln(&said, lines.Text())
		}
		if !told {
			m.ready <- fmt.Errorf("the master said: %s", said.String())
		}
	}()
	return m
}

// await waits until the master has done its orders.
func (m *separateMaster) await(t *testing.T) {
	t.Helper()
	select {
	case err := <-m.ready:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatal("the master is not ready")
	}
}

// end sends a signal and waits for the master's end.
func (m *separateMaster) end(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := m.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	_ = m.cmd.Wait()
}

// clientHost is a host from which family members and others can be reached.
func clientHost(t *testing.T, key lab.ClientKey, binds []string, servers ...*lab.Running) *lab.Running {
	t.Helper()
	var known strings.Builder
	for _, s := range servers {
		known.WriteString(s.KnownHosts())
	}
	return lab.Start(t, lab.Host{
		Users: []lab.User{{Name: "deploy"}},
		Binds: binds,
		Files: map[string]string{keyFile: key.Private, knownFile: known.String()},
	})
}

// However the master dies, and whatever state its descendants are in, nothing
// of the tree is left anywhere a few seconds later.
func TestMasterDies(t *testing.T) {
	lab.Require(t)
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

// A resources is what a process holds.
type resources struct{ fds, goroutines int }

func holding(t *testing.T) resources {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return resources{len(fds), runtime.NumGoroutine()}
}

// released makes sure that this process holds no more than it did.
func (r resources) released(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(deathBudget)
	for {
		now := holding(t)
		if now.fds <= r.fds && now.goroutines <= r.goroutines {
			return
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Errorf("%+v were held before, %+v now\n%s", r, now, stacks[:runtime.Stack(stacks, true)])
			return
		}
		runtime.Gosched()
	}
}

// childProcesses are the live processes that this one has started.
func childProcesses(t *testing.T) string {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, task := range tasks {
		pids, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/children") // the thread may have ended
		all.Write(pids)
	}
	return all.String()
}

// A context that dies in the middle takes all below it along; the master learns
// why, and the rest goes on.
func TestMiddleDies(t *testing.T) {
	lab.Require(t)
	key := lab.NewClientKey(t)
	// The first worker, and the first guard, on the middle host is the middle's.
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
			bystander := child(t, self, connect.Local{})
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
						t.Errorf("%v: %v", n, n.Err())
					}
				case <-time.After(deathBudget):
					t.Errorf("%v is not known to be gone", n)
				}
				if _, err := echo.Call(ctx, n, nil); !errors.Is(err, contexts.ErrGone) && !errors.Is(err, contexts.ErrNoRoute) {
					t.Errorf("a call to %v: %v", n, err)
				}
			}
			if _, err := pending.Wait(); err != nil && !errors.Is(err, contexts.ErrGone) {
				t.Errorf("the call under way: %v", err)
			}
			f.gone(t)
			answers(t, bystander, os.Getuid())
			before.released(t)
		})
	}
}

// Closing ends also what does not want to end, in the time that Config allows,
// and gives everything back.
func TestCloseWhateverTheyDo(t *testing.T) {
	lab.Require(t)
	key := lab.NewClientKey(t)
	for _, stopped := range []bool{false, true} {
		t.Run(map[bool]string{false: "misbehaving", true: "stopped"}[stopped], func(t *testing.T) {
			f := newFamily(t, key)
			before, children := holding(t), childProcesses(t)
			log, _ := newJournal(t)
			self, err := contexts.Start(t.Context(), &contexts.Config{Log: log, CloseTimeout: 2 * time.Second})
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
			local := child(t, self, connect.Local{})
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
			if took := time.Since(start); took > deathBudget {
				t.Errorf("closing took %v", took)
			}
			f.gone(t)
			before.released(t)
			if now := childProcesses(t); now != children {
				t.Errorf("processes of the test: %q before, %q now", children, now)
			}
		})
	}
}

// A link that is cut without a word is noticed at both ends by the heartbeat.
func TestLinkCut(t *testing.T) {
	lab.Require(t)
	key := lab.NewClientKey(t)
	const heartbeat, missed = 200 * time.Millisecond, 3
	f := newFamily(t, key)
	self := master(t, &contexts.Config{Limits: router.Limits{Heartbeat: heartbeat, Missed: missed}})
	bystander := child(t, self, connect.Local{})
	h := f.hops()
	h.Middle = withKey(reach(t, f.middleHost, "deploy"), key)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	middle, local, leaf, err := h.raise(ctx, self)
	if err != nil {
		t.Fatal(err)
	}

	// The leaf is lost to the middle, and ends by itself what it has started.
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

	// sshd itself notices when the network is back and answers.
	if err := errors.Join(f.leafHost.Heal(), f.middleHost.HealFrom(nil)); err != nil {
		t.Fatal(err)
	}
	for _, s := range f.scenes {
		for _, p := range s.newProcesses() {
			if p.Comm != "sshd" && p.Comm != "sshd-session" {
				t.Errorf("left on %s: %v", s.host.Name(), p)
			}
		}
		s.untouched(t)
	}
}

func expectGone(t *testing.T, n *contexts.Node, limit time.Duration) {
	t.Helper()
	select {
	case <-n.Done():
		if !errors.Is(n.Err(), contexts.ErrGone) {
			t.Errorf("%v: %v", n, n.Err())
		}
	case <-time.After(limit):
		t.Fatalf("%v is not known to be gone after %v", n, limit)
	}
}

// A master that is interrupted while it connects twenty hosts leaves nothing on
// any of them, at whatever moment that happens.
func TestInterruptedConnects(t *testing.T) {
	lab.Require(t)
	key := lab.NewClientKey(t)
	const moments, hosts, users = 50, 5, 4
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

	// How long it takes undisturbed is the span that moments are taken from.
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
			t.Fatalf("after %d moments", i)
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
