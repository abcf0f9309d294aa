//go:build linux

package attach_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/attach"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
)

// settle has a context get a state that is worth keeping: a context below it that
// it has a node of, something that it goes on with, and a daemon.
var settle = contexts.NewFunc("test.settle", func(ctx context.Context, _ struct{}) (map[string]int, error) {
	below, err := contexts.Self(ctx).Connect(ctx, local.Child{})
	if err != nil {
		return nil, err
	}
	remembered.Store(below)
	go func() {
		for range time.Tick(10 * time.Millisecond) {
			ticks.Add(1)
		}
	}()
	daemon := exec.Command("setsid", "sleep", "1000")
	if err := daemon.Start(); err != nil {
		return nil, err
	}
	belowPID, err := pid.Call(ctx, below, struct{}{})
	return map[string]int{
		"itself": os.Getpid(), "its guard": os.Getppid(), "below": belowPID, "its daemon": daemon.Process.Pid,
	}, err
})

// actAsMaster makes a context and detaches it.
func actAsMaster(ctx context.Context, lease string) error {
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		return err
	}
	n, err := self.Connect(ctx, local.Child{})
	if err != nil {
		return err
	}
	v := told{Values: make(map[string]string)}
	processes, err := settle.Call(ctx, n, struct{}{})
	if err != nil {
		return err
	}
	for what, pid := range processes {
		v.Values[what] = strconv.Itoa(pid)
	}
	if err := use(ctx, &v, n); err != nil {
		return err
	}
	blocked := block.Go(ctx, n, struct{}{})
	command := n.Command(ctx, "sleep", "1000")
	if err := command.Start(); err != nil {
		return err
	}
	v.Values["command"] = strconv.Itoa(command.Pid)
	d, err := time.ParseDuration(lease)
	if err != nil {
		return err
	}
	detached, err := attach.Detach(ctx, n, attach.Terms{Lease: d})
	if err != nil {
		return err
	}
	if err := n.Err(); !errors.Is(err, attach.ErrDetached) || !errors.Is(err, contexts.ErrGone) {
		return fmt.Errorf("the node of what was detached: %w", err)
	}
	_, err = blocked.Wait()
	v.failed("a call under way", err)
	v.failed("a command under way", command.Wait())
	b, err := json.Marshal(detached)
	if err != nil {
		return err
	}
	v.Values["detached"] = string(b)
	tell(v)
	untilDismissed()
	return self.Close()
}

// use asks for what there is of the state, and changes it.
func use(ctx context.Context, v *told, n *contexts.Node) error {
	p, err := pid.Call(ctx, n, struct{}{})
	if err != nil {
		return err
	}
	c, err := count.Call(ctx, n, struct{}{})
	if err != nil {
		return err
	}
	below, err := pidOfRemembered.Call(ctx, n, struct{}{})
	if err != nil {
		return err
	}
	v.Values["pid"], v.Values["count"], v.Values["pid below"] = strconv.Itoa(p), strconv.FormatInt(c, 10), strconv.Itoa(below)
	tree, err := n.Local().Tree(ctx)
	if err != nil {
		return err
	}
	for _, c := range tree {
		if c.ID == 0 {
			continue
		}
		p, err := pid.Call(ctx, c.Node, struct{}{})
		if err != nil {
			return fmt.Errorf("%s: %w", c.Path, err)
		}
		if p != c.PID {
			return fmt.Errorf("%s is process %d, and %d in the tree", c.Path, p, c.PID)
		}
		v.Values["tree"] += fmt.Sprintf("%s %d; ", c.Path, p)
	}
	return nil
}

// actAsHeir is the next master.
func actAsHeir(ctx context.Context, text string) error {
	var d attach.Detached
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return err
	}
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		return err
	}
	host, err := self.Connect(ctx, local.Child{})
	if err != nil {
		return err
	}
	n, err := attach.Attach(ctx, host, d, nil)
	if err != nil {
		return err
	}
	v := told{Values: make(map[string]string)}
	if err := use(ctx, &v, n); err != nil {
		return err
	}
	more, err := n.Connect(ctx, local.Child{})
	if err != nil {
		return err
	}
	p, err := pid.Call(ctx, more, struct{}{})
	if err != nil {
		return err
	}
	v.Values["more"] = fmt.Sprintf("%v %d", more, p)
	tell(v)
	untilDismissed()
	return self.Close()
}

// detached has a master of its own process make a context and detach it.
func detached(t *testing.T, lease time.Duration) (*actor, told, attach.Detached) {
	t.Helper()
	master := act(t, "master", lease.String(), nil)
	v := master.must()
	var d attach.Detached
	if err := json.Unmarshal([]byte(v.Values["detached"]), &d); err != nil {
		t.Fatal(err)
	}
	if d.PID != v.pid("itself") || d.Path != "local" || d.Lease != lease {
		t.Errorf("got %+v, want process %d with path local and a lease of %v", d, v.pid("itself"), lease)
	}
	t.Cleanup(func() {
		if t.Failed() {
			_ = syscall.Kill(v.pid("its guard"), syscall.SIGTERM)
		}
	})
	return master, v, d
}

func (t told) pid(of string) int {
	n, _ := strconv.Atoi(t.Values[of])
	return n
}

var processesOfSettled = []string{"itself", "its guard", "below", "its daemon"}

// allEnd waits until nothing is left of a context.
func allEnd(t *testing.T, v told) {
	t.Helper()
	for _, what := range processesOfSettled {
		treetest.Eventually(t, what+" has ended", func() bool { return !alive(v.pid(what)) })
	}
}

func allLive(t *testing.T, v told) {
	t.Helper()
	for _, what := range processesOfSettled {
		if !alive(v.pid(what)) {
			t.Errorf("%s has ended, want that it goes on", what)
		}
	}
}

// TestStateOutlivesMasters: the master ends in every way, later ones find the
// same processes and the same variables, and the last one ends it.
func TestStateOutlivesMasters(t *testing.T) {
	for _, end := range []syscall.Signal{0, syscall.SIGTERM, syscall.SIGKILL} {
		master, v, d := detached(t, time.Minute)
		for _, what := range []string{"a call under way", "a command under way"} {
			if !v.Gone[what] && !errors.Is(v.err(what), attach.ErrDetached) {
				t.Errorf("%s: got %v, want ErrGone or ErrDetached", what, v.err(what))
			}
		}
		treetest.Eventually(t, "the command of the master has ended", func() bool { return !alive(v.pid("command")) })
		master.end(end)
		allLive(t, v)

		heir := act(t, "heir", v.Values["detached"], nil)
		w := heir.must()
		tree := v.Values["tree"]
		if v.Values["count"] != "1" || w.Values["count"] != "2" || w.Values["pid"] != v.Values["pid"] ||
			w.Values["pid below"] != v.Values["pid below"] || w.Values["tree"] != tree {
			t.Errorf("%v: the old master had %v, the next one %v; want the same processes and tree", end, v.Values, w.Values)
		}

		self := treetest.Start(t, nil)
		if _, err := attach.Attach(t.Context(), self, d, nil); !errors.Is(err, attach.ErrOwned) {
			t.Errorf("a second master: got %v, want ErrOwned", err)
		}
		heir.end(end)
		if end == 0 {
			// Its tree ends in order, and that is another tree.
			allLive(t, v)
		}
		n := again(t, self, d)
		w = told{Values: make(map[string]string)}
		if err := use(t.Context(), &w, n); err != nil {
			t.Fatal(err)
		}
		if w.Values["count"] != "3" || w.Values["pid"] != v.Values["pid"] || w.Values["pid below"] != v.Values["pid below"] {
			t.Errorf("got %v, want a count of 3 and the same processes", w.Values)
		}
		if before, err := ticked.Call(t.Context(), n, struct{}{}); err != nil || before == 0 {
			t.Errorf("ticks without a master: got %d, %v; want some", before, err)
		}

		// And once more, with another secret.
		d2, err := attach.Detach(t.Context(), n, attach.Terms{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := attach.Attach(t.Context(), self, d, nil); !errors.Is(err, attach.ErrSecret) {
			t.Errorf("with the old secret: got %v, want ErrSecret", err)
		}
		n = again(t, self, d2)
		if c, err := count.Call(t.Context(), n, struct{}{}); err != nil || c != 4 {
			t.Errorf("the count is %d, %v; want 4", c, err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		allEnd(t, v)
		<-n.Local().Done()
		if _, err := attach.Attach(t.Context(), self, d2, nil); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("after the end of the context: got %v, want ECONNREFUSED", err)
		}
	}
}

// again attaches to a context whose master may not be known to be lost yet.
func again(t *testing.T, host *contexts.Node, d attach.Detached) (n *contexts.Node) {
	t.Helper()
	treetest.Eventually(t, "it is attached again", func() bool {
		var err error
		n, err = attach.Attach(t.Context(), host, d, nil)
		if err != nil && !errors.Is(err, attach.ErrOwned) {
			t.Fatal(err)
		}
		return err == nil
	})
	return n
}

// TestLeaseEnds whatever the context is doing, and not before.
func TestLeaseEnds(t *testing.T) {
	for name, disturb := range map[string]func(v told){
		"idle":             func(told) {},
		"stopped":          func(v told) { _ = syscall.Kill(v.pid("itself"), syscall.SIGSTOP) },
		"killed":           func(v told) { _ = syscall.Kill(v.pid("itself"), syscall.SIGKILL) },
		"asked":            func(v told) { _ = syscall.Kill(v.pid("itself"), syscall.SIGTERM) },
		"its guard asked":  func(v told) { _ = syscall.Kill(v.pid("its guard"), syscall.SIGTERM) },
		"its guard killed": func(v told) { _ = syscall.Kill(v.pid("its guard"), syscall.SIGKILL) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lease := 3 * time.Second // longer than a loaded machine takes to look
			if name != "idle" && name != "stopped" {
				lease = time.Hour
			}
			start := time.Now()
			master, v, _ := detached(t, lease)
			master.end(syscall.SIGKILL)
			treetest.Eventually(t, "its guard waits for the lease", func() bool { return waitsForLease(v.pid("its guard")) })
			disturb(v)
			allEnd(t, v)
			if took := time.Since(start); took < lease && lease < time.Hour {
				t.Errorf("it ended after %v, want not before the end of its lease of %v", took, lease)
			}
		})
	}
}

// waitsForLease looks at what a sleeping guard knows of its worker: the descriptors
// of link and lease are the same then.
func waitsForLease(guard int) bool {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", guard))
	exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", guard))
	for word := range strings.SplitSeq(string(line), "\x00") {
		if list, ok := strings.CutPrefix(word, "worker="); ok {
			fields := strings.Split(list, ",")
			return fields[1] == fields[len(fields)-1] && strings.Contains(exe, "memfd:mitosis-guard")
		}
	}
	return false
}

// TestMasterKeepsTheLease: with a master the lease does not end, however short it
// is, and begins anew when that is lost.
func TestMasterKeepsTheLease(t *testing.T) {
	t.Parallel()
	master, v, d := detached(t, time.Second)
	self := treetest.Start(t, nil)
	n := again(t, self, d)
	master.end(0)
	from, err := ticked.Call(t.Context(), n, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	// Longer than both the context and its guard would wait.
	begin := time.Now()
	treetest.Eventually(t, "time has passed there", func() bool {
		now, err := ticked.Call(t.Context(), n, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		return now > from+100 && time.Since(begin) > 4*time.Second
	})
	allLive(t, v)
	if err := n.Local().Close(); err != nil { // the tree's end, this time
		t.Error(err)
	}
	allEnd(t, v)
}

func TestWhoMayNotBeMaster(t *testing.T) {
	t.Parallel()
	master, v, d := detached(t, time.Minute)
	defer master.end(0)
	self := treetest.Start(t, nil)
	wrong := d
	wrong.Secret[31] ^= 1
	if _, err := attach.Attach(t.Context(), self, wrong, nil); !errors.Is(err, attach.ErrSecret) {
		t.Errorf("a wrong secret: got %v, want ErrSecret", err)
	}
	wrong = d
	wrong.Tree[0] ^= 1
	if _, err := attach.Attach(t.Context(), self, wrong, nil); !errors.Is(err, attach.ErrSecret) {
		t.Errorf("another context: got %v, want ErrSecret", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", d, d, d); containsSecret(t, text, d.Secret) {
		t.Errorf("the secret is printed: %s", text)
	}
	n := again(t, self, d)
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	allEnd(t, v)
}

func containsSecret(t *testing.T, text string, s attach.Secret) bool {
	b, err := s.MarshalText()
	if err != nil || len(b) != 64 {
		t.Fatalf("the secret is kept as %q, %v; want 64 digits", b, err)
	}
	return containsAny(text, string(b), fmt.Sprint([32]byte(s)), fmt.Sprintf("%#v", [32]byte(s)))
}
