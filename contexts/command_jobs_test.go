//go:build linux

package contexts_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// quietly redirects the descriptors of a job, as a user does who starts one by hand.
const quietly = " </dev/null >/dev/null 2>&1"

// jobsOf are commands that leave a process running and print its process ID.
var jobsOf = map[string]string{
	"in the background":   "sleep 86400" + quietly + " & echo $!",
	"nohup":               "nohup sleep 86400" + quietly + " & echo $!",
	"setsid":              "setsid sleep 86400" + quietly + " & echo $!",
	"without environment": "env -i sleep 86400" + quietly + " & echo $!",
	"a daemon": `setsid sh -c '(env -i sh -c "echo \$\$ >$0.n; mv $0.n $0; cd /; exec sleep 86400" &)' "$1/daemon"` + quietly + `
		until test -e "$1/daemon"; do sleep 0.01; done; cat "$1/daemon"`,
	"one that starts others": "sh -c 'while :; do sleep 0.01; done'" + quietly + " & echo $!",
}

// leave runs a command and returns the process that it leaves running.
func leave(t *testing.T, n *contexts.Node, keep bool, script, dir string) int {
	t.Helper()
	c := shell(t, n, script, dir)
	c.KeepJobs = keep
	out, err := c.Output()
	pid, convErr := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || convErr != nil {
		t.Fatalf("the command printed %q and ended with %v (%v), want a process ID and no error", out, err, convErr)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	return pid
}

// lives reports whether a process exists and is no zombie.
func lives(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

// parentOf returns the process ID of a process's parent, 0 if there is no such process.
func parentOf(pid int) (parent int) {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	if words := strings.Fields(rest); len(words) > 1 {
		parent, _ = strconv.Atoi(words[1])
	}
	return parent
}

// below waits for a child of a process that is not among the known ones, and returns it.
func below(t *testing.T, parent int, known ...int) int {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-time.After(time.Millisecond) {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
		for _, word := range strings.Fields(string(children)) {
			if pid, err := strconv.Atoi(word); err == nil && !slices.Contains(known, pid) {
				return pid
			}
		}
	}
	t.Fatalf("process %d has no child but %v, want another one", parent, known)
	return 0
}

// awaitEnd waits until none of some processes lives.
func awaitEnd(t *testing.T, why string, pids ...int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); slices.ContainsFunc(pids, lives); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: after 10 s some of the processes %v still run, want all ended", why, pids)
		}
	}
}

// Jobs outlive their context, the contexts above on the same host, and the master, whatever ends
// these. Processes that are no jobs end.
func TestJobsThatAreKept(t *testing.T) {
	kill := func(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }
	for _, end := range []struct {
		name string
		do   func(upper, lower int) // gets the process IDs of the workers
	}{
		{"in order", func(upper, lower int) {}},
		{"the worker is killed", func(upper, lower int) { kill(lower) }},
		{"the guard is killed", func(upper, lower int) { kill(parentOf(lower)) }},
		{"both are killed", func(upper, lower int) { kill(parentOf(lower)); kill(lower) }},
		{"the worker above is killed", func(upper, lower int) { kill(upper) }},
		{"the guard above is killed", func(upper, lower int) { kill(parentOf(upper)) }},
		{"a worker is stopped", func(upper, lower int) { _ = syscall.Kill(lower, syscall.SIGSTOP); kill(upper) }},
	} {
		t.Run(end.name, func(t *testing.T) {
			self := start(t, &contexts.Config{Log: slog.New(slog.DiscardHandler), CloseTimeout: 20 * time.Second})
			upper := child(t, self)
			lower := child(t, upper)
			workers := make([]int, 2)
			for i, n := range []*contexts.Node{upper, lower} {
				var err error
				if workers[i], err = pid.Call(t.Context(), n, struct{}{}); err != nil {
					t.Fatal(err)
				}
			}
			guards := []int{parentOf(workers[0]), parentOf(workers[1])}
			kept := make(map[string]int)
			for name, script := range jobsOf {
				kept[name] = leave(t, lower, true, script, t.TempDir())
			}
			notKept := leave(t, lower, false, jobsOf["setsid"], "")
			running := shell(t, lower, "sleep 86400"+quietly+" & echo $!; sleep 86401"+quietly)
			running.KeepJobs = true
			out, err := running.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := running.Start(); err != nil {
				t.Fatal(err)
			}
			var background int
			if _, err := fmt.Fscan(out, &background); err != nil {
				t.Fatal(err)
			}
			foreground := below(t, running.Pid, background)
			t.Cleanup(func() {
				for _, pid := range []int{background, foreground} {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			})
			end.do(workers[0], workers[1])
			_ = self.Close() // contexts were killed, which may be an error here
			_ = running.Wait()
			awaitEnd(t, "workers and guards", slices.Concat(workers, guards)...)
			awaitEnd(t, "a process that is not kept, and the running command", notKept, running.Pid)
			if end.name != "both are killed" { // then no context is left that knows of the running command
				awaitEnd(t, "the group of the running command", background, foreground)
			}
			for _, name := range slices.Sorted(maps.Keys(kept)) {
				checkJob(t, name, kept[name])
			}
		})
	}
}

// checkJob checks that a job runs, and has no descriptor, executable or mark of a context.
func checkJob(t *testing.T, name string, pid int) {
	t.Helper()
	if !lives(pid) {
		t.Errorf("%s: the job %d has ended, want it running", name, pid)
		return
	}
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		if file, _ := os.Readlink(fd); file != os.DevNull {
			t.Errorf("%s: the job has %s open, want only %s", name, file, os.DevNull)
		}
	}
	self, _ := os.Executable()
	if maps, _ := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid)); strings.Contains(string(maps), self) || strings.Contains(string(maps), "memfd") {
		t.Errorf("%s: the job has the context's executable mapped, want it not to", name)
	}
	if env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); strings.Contains(string(env), "MITOSIS_") {
		t.Errorf("%s: the job's environment has a variable MITOSIS_*, want none", name)
	}
}

// Processes that a command has started with nohup, or in a session of their own, outlive the
// command even if it is cut off.
func TestJobsOfACommandThatIsCutOff(t *testing.T) {
	for _, end := range []string{"its ctx ends", "its ctx ends, and then the tree", "the tree is closed", "the worker is killed", "both workers are killed", "the guard above is killed"} {
		t.Run(end, func(t *testing.T) {
			self := start(t, &contexts.Config{Log: slog.New(slog.DiscardHandler), CloseTimeout: 20 * time.Second})
			upper := child(t, self)
			lower := child(t, upper)
			var workers [2]int
			for i, n := range []*contexts.Node{upper, lower} {
				var err error
				if workers[i], err = pid.Call(t.Context(), n, struct{}{}); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := thatStartsOthers(ctx, lower)
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			var nohup, setsid, plain int
			if _, err := fmt.Fscan(out, &nohup, &setsid, &plain); err != nil {
				t.Fatal(err)
			}
			foreground := below(t, c.Pid, nohup, setsid, plain)
			t.Cleanup(func() {
				for _, pid := range []int{nohup, setsid, plain, foreground} {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			})
			switch end {
			case "its ctx ends":
				cancel()
				_ = c.Wait()
			case "its ctx ends, and then the tree":
				cancel()
			case "the worker is killed":
				_ = syscall.Kill(workers[1], syscall.SIGKILL)
			case "both workers are killed":
				_ = syscall.Kill(workers[1], syscall.SIGKILL)
				_ = syscall.Kill(workers[0], syscall.SIGKILL)
			case "the guard above is killed":
				_ = syscall.Kill(parentOf(workers[0]), syscall.SIGKILL)
			}
			if end == "its ctx ends" {
				awaitEnd(t, "the command and its group", c.Pid, plain, foreground)
			}
			_ = self.Close()
			awaitEnd(t, "the command and its group", c.Pid, workers[0], workers[1], plain, foreground)
			checkJob(t, "nohup", nohup)
			checkJob(t, "setsid", setsid)
		})
	}
}

// thatStartsOthers returns a command that starts other processes and then goes on.
func thatStartsOthers(ctx context.Context, n *contexts.Node) *contexts.Command {
	c := n.Command(ctx, "sh", "-c", `
		nohup sleep 86400 </dev/null >/dev/null 2>&1 & a=$!
		setsid sleep 86400 </dev/null >/dev/null 2>&1 & b=$!
		sleep 86400 </dev/null >/dev/null 2>&1 & c=$!
		until grep -qx sleep /proc/$a/comm && grep -qx sleep /proc/$b/comm; do :; done
		echo $a $b $c; sleep 86400; wait`)
	c.KeepJobs = true
	return c
}

// A command with KeepJobs ends with its ctx, and so does its process group.
func TestKeepingJobsKeepsNoCommand(t *testing.T) {
	n := child(t, child(t, start(t, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	c := n.Command(ctx, "sh", "-c", family)
	c.KeepJobs = true
	group := startFamily(t, c)
	cancel()
	if err := c.Wait(); err == nil {
		t.Error("Wait of the cancelled command returned no error, want one")
	}
	isGone(t, group, 5*time.Second)
}

// One line of the log names the processes that were left running and end with their context, and
// says how they can be kept. The log says nothing about jobs that are kept.
func TestEndOfJobsIsTold(t *testing.T) {
	var mu sync.Mutex
	var log strings.Builder
	self := start(t, &contexts.Config{Log: slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))})
	n := child(t, self)
	kept := leave(t, n, true, jobsOf["nohup"], "")
	ended := leave(t, n, false, jobsOf["in the background"], "")
	for name := ""; name != "sleep\n"; <-time.After(time.Millisecond) { // it is the shell's until the exec
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", ended))
		if name = string(comm); err != nil {
			t.Fatal(err)
		}
	}
	if err := self.Close(); err != nil {
		t.Error(err)
	}
	awaitEnd(t, "what is not kept", ended)
	mu.Lock()
	defer mu.Unlock()
	want := fmt.Sprintf(`processes="sleep (%d)"`, ended)
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, want) || !strings.Contains(got, "KeepJobs") || !strings.Contains(got, "context=local") {
		t.Errorf("the log is %q, want one line with %s, KeepJobs and context=local", got, want)
	}
	if !lives(kept) {
		t.Errorf("the job %d, which is to be kept, has ended", kept)
	}
}
