//go:build linux

package bootstrap

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What a sleeping guard shows to somebody who looks at it.
func TestWhatASleeperLooksLike(t *testing.T) {
	if !sleepers {
		t.Skip("guards don't sleep on this machine")
	}
	_, s, guard := family(t, "")
	show := func(name string) string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", guard, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	// The exec comes before the name.
	eventually(t, "the guard has its name", func() bool { return show("comm") == "mitosis-guard\n" })
	words := strings.Split(show("cmdline"), "\x00")
	if len(words) < 3 || !strings.HasPrefix(words[1], "mitosis:guard=") || !strings.HasPrefix(words[2], fmt.Sprintf("worker=%d,", s.Hello.Pid)) {
		t.Errorf("arguments %q", words)
	}
	for _, entry := range os.Environ() {
		if !strings.Contains(show("environ"), entry) {
			t.Errorf("%s is missing in its environment", entry)
		}
	}
	if status := show("status"); !strings.Contains(status, "Threads:\t1\n") {
		t.Errorf("status %s", status)
	}
	for line := range strings.Lines(show("smaps_rollup")) {
		var kB int
		if n, _ := fmt.Sscanf(line, "Rss: %d kB", &kB); n == 1 && kB > 100 {
			t.Errorf("%d kB are resident", kB)
		}
	}
}

// What concerns a guard but gives it nothing to do does not wake it, and orphans
// don't stay as zombies.
func TestSleeperSleepsOn(t *testing.T) {
	order := "run for i in 1 2 3 4 5; do (setsid sh -c 'sleep 0.05; exit 3' </dev/null >/dev/null 2>&1 &); done; " +
		"(setsid sleep 1000 </dev/null >/dev/null 2>&1 &); echo started"
	_, s, guard := family(t, order)
	readLine(t, s)
	syscall.Kill(guard, syscall.SIGHUP)
	syscall.Kill(guard, syscall.SIGINT)
	syscall.Kill(guard, syscall.SIGSTOP)
	eventually(t, "the guard is stopped", func() bool { return state(guard) == "T" })
	syscall.Kill(guard, syscall.SIGCONT)
	eventually(t, "all orphans but one are reaped", func() bool {
		pids, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", guard, guard))
		return len(strings.Fields(string(pids))) == 2
	})
	answers(t, s)
	if sleepers && !asleep(guard) {
		t.Error("the guard woke up")
	}
	s.Link.Close()
	gone(t, tree(guard))
}

// A guard does not wake only to end behind a worker that has ended in order. Here it can't: its
// program is larger than the memory that it may have from now on.
func TestSleeperEndsBehindItsWorker(t *testing.T) {
	if !sleepers {
		t.Skip("guards don't sleep on this machine")
	}
	for name, test := range map[string]struct {
		order, line string
		status      int // -1: a signal
	}{
		"the worker has left nothing":          {},
		"control: it has left a process":       {order: "run (setsid sleep 1000 </dev/null >/dev/null 2>&1 &); echo started", status: -1},
		"control: there are words in its log":  {line: "goodbye\n", status: -1},
		"control: its status tells of trouble": {line: "exit\n", status: -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, guard := family(t, test.order)
			pids := tree(guard)
			if test.order != "" {
				readLine(t, s)
			}
			if err := unix.Prlimit(guard, unix.RLIMIT_AS, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}, nil); err != nil {
				t.Fatal(err)
			}
			if test.line != "" {
				_, _ = s.Link.Write([]byte(test.line))
				<-c.done
			}
			c.in.Close()
			<-c.done
			if got := c.cmd.ProcessState.ExitCode(); got != test.status {
				t.Errorf("the guard's exit status is %d, want %d (-1: killed by a signal)", got, test.status)
			}
			for _, pid := range pids {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		})
	}
}

// What a worker prints before it ends in order is heard.
func TestLastWordsOfAnOrderlyWorker(t *testing.T) {
	c, s, _ := family(t, "")
	_, _ = s.Link.Write([]byte("goodbye\n"))
	<-c.done
	if got, status := c.stderr.String(), c.cmd.ProcessState.ExitCode(); got != "goodbye\n" || status != 0 {
		t.Errorf("the guard has printed %q and ended with status %d, want goodbye and 0", got, status)
	}
}

// state is the letter in /proc/PID/stat.
func state(pid int) string {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:min(1, len(rest))]
}

// The kernel's word to the worker that its guard is dead survives that the guard
// has become another program.
func TestKernelTellsOfTheSleepersDeath(t *testing.T) {
	_, s, guard := family(t, "")
	if got := ask(t, s, "let go of the guard"); got != "done" {
		t.Fatalf("the child answered %q, want that it has let go of the guard", got)
	}
	syscall.Kill(guard, syscall.SIGKILL)
	gone(t, []int{guard, s.Hello.Pid})
}

// A guard can be hit at any moment: before it sleeps, while it falls asleep,
// while it wakes up. Whatever it is that hits it, all of them end.
func TestGuardIsHitAtAnyMoment(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	type hit func(c *procCarrier, s *Session, guard int)
	signal := func(signals ...syscall.Signal) hit {
		return func(_ *procCarrier, _ *Session, guard int) {
			for _, s := range signals {
				syscall.Kill(guard, s)
			}
		}
	}
	hits := map[string]hit{
		"hang-up":      func(c *procCarrier, _ *Session, _ int) { c.in.Close() },
		"the worker's": func(_ *procCarrier, s *Session, _ int) { syscall.Kill(s.Hello.Pid, syscall.SIGKILL) },
		"SIGKILL":      signal(syscall.SIGKILL),
		"SIGTERM":      signal(syscall.SIGTERM),
		"SIGHUP":       signal(syscall.SIGHUP, syscall.SIGINT),
		"a stop":       signal(syscall.SIGSTOP, syscall.SIGCONT),
	}
	// Where both are killed, nobody is left to end a daemon. A SIGTERM does
	// that too to a guard that can't catch it yet.
	for first, seconds := range map[string][]string{
		"hang-up":      {"hang-up", "SIGKILL", "SIGTERM", "the worker's", "SIGHUP", "a stop"},
		"SIGTERM":      {"hang-up", "SIGKILL", "SIGTERM", "SIGHUP", "a stop"},
		"SIGKILL":      {"hang-up"},
		"the worker's": {"hang-up", "SIGHUP", "a stop"},
	} {
		for _, second := range seconds {
			early, late := random.Int64N(2_000_000), random.Int64N(3_000_000)
			t.Run(first+", then "+second, func(t *testing.T) {
				t.Parallel()
				for i := range int64(3) {
					l := NewLaunch(opts())
					c := start(t, l.direct())
					s := born(t, l, c, "orderly (setsid sleep 1000 </dev/null >/dev/null 2>&1 &); echo started")
					readLine(t, s)
					guard := c.cmd.Process.Pid
					pids := tree(guard)
					time.Sleep(time.Duration(early * i)) // any moment will do
					hits[first](c, s, guard)
					time.Sleep(time.Duration(late * i / 2))
					hits[second](c, s, guard)
					gone(t, pids)
				}
			})
		}
	}
}

// Where the system doesn't allow sleeping, guards stay awake and do what they
// are for.
func TestGuardThatCanNotSleep(t *testing.T) {
	isolated := func(mode string) []string {
		return []string{"unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c",
			"echo " + mode + ` >/proc/sys/vm/memfd_noexec; exec "$@"`, "sh"}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	refused := func(how string) []string { return []string{self, refuseRole, how} }
	for name, test := range map[string]struct {
		wrapper []string
		sleeps  bool
	}{
		"memfd_create is refused":                      {wrapper: refused("memfd_create")},
		"memfd_create is fatal":                        {wrapper: refused("SIGSYS")},
		"memfd_create does not know how to say exec":   {wrapper: refused("MFD_EXEC"), sleeps: true},
		"no memfd may be executed":                     {wrapper: isolated("2")},
		"the memfd that is made may not be executed":   {wrapper: slices.Concat(isolated("1"), refused("MFD_EXEC"))},
		"files may not be written":                     {wrapper: []string{"sh", "-c", `ulimit -f 0; exec "$@"`, "sh"}},
		"memfds are not executable unless that's said": {wrapper: isolated("1"), sleeps: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.wrapper[0] == "unshare" && os.Getuid() != 0 {
				t.Skip("needs root")
			}
			l := NewLaunch(opts())
			_, argv := l.Exec()
			argv[0] = self
			cmd := exec.Command(test.wrapper[0], slices.Concat(test.wrapper[1:], argv)...)
			c := start(t, cmd)
			s := born(t, l, c, "run (setsid sleep 1000 </dev/null >/dev/null 2>&1 &); echo started")
			if got := readLine(t, s); got != "started" {
				t.Fatalf("the child printed %q, want started", got)
			}
			pids := tree(c.cmd.Process.Pid)
			if test.sleeps && sleepers {
				eventually(t, "a guard sleeps", func() bool { return slices.ContainsFunc(pids, asleep) })
			} else if slices.ContainsFunc(pids, asleep) {
				t.Error("a guard sleeps")
			}
			answers(t, s)
			s.Link.Close()
			gone(t, pids)
		})
	}
}

// refuseRole is the first argument of a test binary that executes a command
// under a filter for system calls.
const refuseRole = "refuse"

// refuse executes argv where memfd_create fails or kills the caller, or where it fails like before
// Linux 6.3 if the file is to be executable.
func refuse(what string, argv []string) {
	runtime.LockOSThread()
	unless := unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA} // go on
	action := unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	switch what {
	case "SIGSYS":
		action = unix.SECCOMP_RET_KILL_PROCESS
	case "MFD_EXEC":
		unless = unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: unix.MFD_EXEC, Jf: 1}
		action = unix.SECCOMP_RET_ERRNO | uint32(unix.EINVAL)
	}
	// See seccomp(2). Numbers are looked at without the machine that they are
	// for, which does for a test. The second argument's lower half is at 24.
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	ret := func(k uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k}
	}
	filter := []unix.SockFilter{
		load(0),
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_MEMFD_CREATE, Jf: 3},
		load(24),
		unless,
		ret(action),
		ret(unix.SECCOMP_RET_ALLOW),
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		panic(err)
	}
	path, err := exec.LookPath(argv[0])
	if err == nil {
		err = syscall.Exec(path, argv, os.Environ())
	}
	panic(err)
}
