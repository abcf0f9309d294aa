//go:build linux

package bootstrap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// procs is the process table: pid to parent.
func procs() map[int]int {
	table := make(map[int]int)
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		words := strings.Fields(rest)
		if len(words) > 1 && words[0] != "Z" {
			table[pid], _ = strconv.Atoi(words[1])
		}
	}
	return table
}

// tree is pid and all that is below it.
func tree(pid int) []int {
	table := procs()
	found := []int{pid}
	for i := 0; i < len(found); i++ {
		for p, parent := range table {
			if parent == found[i] && !slices.Contains(found, p) {
				found = append(found, p)
			}
		}
	}
	return found
}

// gone waits until none of these processes lives, for five seconds.
func gone(t *testing.T, pids []int) {
	t.Helper()
	var left []int
	for range 500 {
		table := procs()
		left = slices.DeleteFunc(slices.Clone(pids), func(pid int) bool { _, there := table[pid]; return !there })
		if len(left) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, pid := range left {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		t.Errorf("process %d is left: %q", pid, line)
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// family starts a child with an order and returns the pid of its guard, which is
// asleep; the worker's is in the session.
func family(t *testing.T, order string) (c *procCarrier, s *Session, guard int) {
	t.Helper()
	l := NewLaunch(opts())
	c = start(t, l.direct())
	s = born(t, l, c, order)
	guard = c.cmd.Process.Pid
	if sleepers {
		eventually(t, "the guard sleeps", func() bool { return asleep(guard) })
	}
	return c, s, guard
}

// sleepers tells whether guards sleep on this machine.
const sleepers = runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64"

// asleep tells whether a guard has become a sleeper: it has the sleeper's one
// page and not the guard's executable.
func asleep(guard int) bool {
	exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", guard))
	return strings.HasPrefix(exe, "/memfd:mitosis-guard")
}

// eventually waits for a condition, for five seconds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 1000 {
		if holds() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("it never came to it that %s", what)
}

// carriedOut waits until a worker does as it was ordered to: it is stopped, or computes
// without end.
func carriedOut(t *testing.T, worker int, order string) {
	t.Helper()
	const state, userTime = 0, 11 // of what is behind the name: see proc(5)
	field := func(n int) string {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", worker))
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if n >= len(fields) {
			return ""
		}
		return fields[n]
	}
	switch order {
	case "stop":
		eventually(t, "the worker is stopped", func() bool { return field(state) == "T" })
	case "spin":
		first := field(userTime)
		eventually(t, "the worker computes", func() bool { return field(userTime) != first })
	}
}

func TestNothingIsLeftWhenTheLinkEnds(t *testing.T) {
	daemons := "run setsid sleep 1000 </dev/null >/dev/null 2>&1 & " +
		"(setsid sh -c 'trap \"\" TERM HUP; sleep 1001; sleep 1001' </dev/null >/dev/null 2>&1 &) ; " +
		"(trap '' HUP TERM; sleep 1002 >/dev/null 2>&1 &) ; sleep 0.1; echo started"
	for name, order := range map[string]string{
		"an obedient worker": "",
		"a stopped worker":   "stop",
		"a spinning worker":  "spin",
		"daemons":            daemons,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, guard := family(t, order)
			if order == daemons {
				if got := readLine(t, s); got != "started" {
					t.Fatalf("the child printed %q, want that it has started the daemons", got)
				}
			} else {
				carriedOut(t, s.Hello.Pid, order)
			}
			pids := tree(guard)
			if !slices.Contains(pids, s.Hello.Pid) || order == daemons && len(pids) < 5 {
				t.Fatalf("processes %v, worker %d", pids, s.Hello.Pid)
			}
			began := time.Now()
			c.Close()
			gone(t, pids)
			if took := time.Since(began); order == "" && took > 5*time.Second {
				t.Errorf("all were gone after %v, want at most 5 s", took)
			}
		})
	}
}

func TestNothingIsLeftWhenTheWorkerDies(t *testing.T) {
	order := "run (setsid sleep 1000 </dev/null >/dev/null 2>&1 &) ; (setsid sh -c 'while :; do sleep 0.01 & wait; done' </dev/null >/dev/null 2>&1 &) ; sleep 0.1; echo started"
	_, s, guard := family(t, order)
	readLine(t, s)
	pids := tree(guard)
	syscall.Kill(s.Hello.Pid, syscall.SIGKILL)
	gone(t, pids)
	// The parent sees the end as well.
	if _, err := s.Link.Read(make([]byte, 1)); err == nil {
		t.Error("the link goes on")
	}
	if _, err := s.Link.Write([]byte("x")); err == nil {
		t.Error("the link goes on to take bytes")
	}
}

func TestNothingIsLeftWhenTheGuardIsKilled(t *testing.T) {
	_, s, guard := family(t, "run sleep 1000 >/dev/null & setsid sleep 1000 >/dev/null & sleep 0.1; echo started; wait")
	readLine(t, s)
	pids := tree(guard)
	if len(pids) < 5 {
		t.Fatalf("processes %v", pids)
	}
	syscall.Kill(guard, syscall.SIGKILL)
	gone(t, pids)
}

// Who has stopped the guard may mean to stop all, but not for longer than the
// parent lives.
func TestNothingIsLeftWhenTheGuardIsStopped(t *testing.T) {
	c, s, guard := family(t, "run setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo started")
	readLine(t, s)
	pids := tree(guard)
	if err := syscall.Kill(guard, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	go c.Close() // which kills after six seconds, one more than gone waits
	gone(t, pids)
}

func TestSIGTERMOfTheGuardReachesTheWorker(t *testing.T) {
	c, s, guard := family(t, "")
	answers(t, s)
	syscall.Kill(guard, syscall.SIGTERM)
	gone(t, []int{guard, s.Hello.Pid})
	if err := c.Cause(bound(t)); err == nil || !strings.Contains(err.Error(), strconv.Itoa(128+int(syscall.SIGTERM))) {
		t.Errorf("exit %v", err)
	}
}

func TestSIGTERMOfTheGuardEndsASpinningWorker(t *testing.T) {
	_, s, guard := family(t, "spin")
	carriedOut(t, s.Hello.Pid, "spin")
	syscall.Kill(guard, syscall.SIGINT) // without effect
	syscall.Kill(guard, syscall.SIGTERM)
	gone(t, []int{guard, s.Hello.Pid})
}

func TestExitStatusPassesTheGuard(t *testing.T) {
	c, s, _ := family(t, "")
	io.WriteString(s.Link, "exit\n")
	var exit *exec.ExitError
	if err := c.Cause(bound(t)); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("exit %v", err)
	}
}

// The trace of a panic goes where the carrier can show it.
func TestPanicIsSeen(t *testing.T) {
	c, s, _ := family(t, "")
	io.WriteString(s.Link, "panic\n")
	<-c.done
	if said := c.stderr.String(); !strings.Contains(said, "panic: as ordered") || !strings.Contains(said, "goroutine") {
		t.Errorf("stderr %q", said)
	}
}

func TestOutputIsNotTheLink(t *testing.T) {
	_, s, _ := family(t, "print to stdout\n")
	if a, b := readLine(t, s), readLine(t, s); a != "to stdout" || b != "and stderr" {
		t.Errorf("the output is %q and %q, want both lines that were printed", a, b)
	}
}

// The link's end is seen at once although guard and worker live on.
func TestGuardDoesNotHoldTheLinkOpen(t *testing.T) {
	_, s, guard := family(t, "close")
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Link.Read(make([]byte, 1))
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Error("the link's output is still open")
	}
	if len(tree(guard)) < 2 {
		t.Error("the worker was expected to go on")
	}
}

func TestDescriptorsOfAWorker(t *testing.T) {
	// Descriptors that the carrier leaked must not reach it.
	l := NewLaunch(opts())
	cmd := l.direct()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.ExtraFiles = []*os.File{w, w, w, w, w, w, w}
	s := born(t, l, start(t, cmd), "")
	w.Close()
	fds := make(map[int]string)
	for _, word := range strings.Fields(ask(t, s, "fds")) {
		n, to, _ := strings.Cut(word, "=")
		fd, _ := strconv.Atoi(n)
		fds[fd] = to
	}
	if fds[0] != "/dev/null" || !strings.HasPrefix(fds[1], "pipe:") || fds[1] != fds[2] || fds[5] != fds[1] {
		t.Errorf("descriptors %v", fds)
	}
	if len(fds) > 14 {
		t.Errorf("%d descriptors: %v", len(fds), fds)
	}
	// Nobody at the far side holds w.
	r.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := r.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a leaked descriptor is still open: %v", err)
	}
}

func TestProcessesDoNotInheritTheLink(t *testing.T) {
	_, s, _ := family(t, "run ls -l /proc/self/fd | grep -c -v -e ' 0 ' -e ' 1 ' -e ' 2 ' -e ' 3 ' -e total; echo done")
	if got := readLine(t, s); got != "0" {
		t.Errorf("%s more descriptors", got)
	}
}

func TestKillDescendantsFindsDaemons(t *testing.T) {
	_, s, guard := family(t, "run (setsid sleep 1000 </dev/null >/dev/null 2>&1 &); (setsid sh -c 'trap \"\" TERM; sleep 1001; sleep 1001' </dev/null >/dev/null 2>&1 &) ; sleep 0.1; echo started")
	readLine(t, s)
	pids := slices.DeleteFunc(tree(guard), func(pid int) bool { return pid == guard || pid == s.Hello.Pid })
	if len(pids) < 2 {
		t.Fatalf("daemons %v", pids)
	}
	if got := ask(t, s, "kill"); got != "survivors 0" {
		t.Errorf("%q, want that none has survived", got)
	}
	gone(t, pids)
	answers(t, s)
}

// A worker whose guard was killed is given to whoever takes in orphans, which may
// be the manager of a user's whole session. What that has started is not ours.
func TestKillDescendantsSparesOthers(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) })
	other := exec.Command("sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	_, s, guard := family(t, "orderly (setsid sleep 1000 </dev/null >/dev/null 2>&1 &); echo started")
	readLine(t, s)
	pids := tree(guard)
	syscall.Kill(guard, syscall.SIGKILL)
	eventually(t, "the worker is ours", func() bool { return procs()[s.Hello.Pid] == os.Getpid() })
	s.Link.Close()
	gone(t, pids)
	if _, lives := procs()[other.Process.Pid]; !lives {
		t.Error("a process of somebody else was killed")
	}
	other.Process.Kill()
	other.Wait()
	for _, pid := range pids {
		if pid != guard {
			syscall.Wait4(pid, nil, 0, nil)
		}
	}
}

func TestKillDescendantsOfNobody(t *testing.T) {
	// Of the test process itself, which has none at this point or only
	// children of other tests: a canceled context must not hang it.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go cmd.Wait()
	if n := KillDescendants(ctx, time.Hour); n != 0 {
		t.Errorf("%d survivors", n)
	}
}
