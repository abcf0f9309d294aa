//go:build linux

package lab_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/integration/lab"
)

func TestProcesses(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{Users: []lab.User{{Name: "deploy"}}, HidePID: true})
	if procs := h.Processes(); len(procs) != 0 {
		t.Errorf("an idle host has the processes %v, want none beside pid 1", procs)
	}
	cmd := h.CommandAs(t.Context(), "deploy", "sh", "-c", "exec -a 'odd )( name' sleep 4321 & setsid sleep 1234 & echo ready; wait")
	cmd.Path = "/bin/bash"
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	find := func(arg string) (found lab.Proc) {
		for _, p := range h.Processes() {
			if slices.Contains(p.Cmdline, arg) {
				found = p
			}
		}
		return found
	}
	eventually(t, "sleep is executed", func() bool { return find("odd )( name").Comm == "sleep" && find("1234").Comm == "sleep" })
	p := find("4321")
	if p.UID != 2000 || p.PPID == 0 || p.Threads != 1 || !strings.HasSuffix(p.Exe, "/sleep") {
		t.Errorf("the process is %+v, want a sleep of uid 2000 with a parent and one thread", p)
	}
	if err := h.Kill(p.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process is stopped", func() bool { return find("4321").State == "T" })
	for _, p := range h.Processes() {
		if err := h.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	}
	cmd.Wait() // bash may end by itself, once the others are gone
	eventually(t, "all processes are reaped", func() bool { return len(h.Processes()) == 0 })
	if err := h.Kill(99999, syscall.SIGTERM); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("killing a process that does not exist: error %v, want %v", err, syscall.ESRCH)
	}
}

func TestDaemonsAreReaped(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{})
	shell(t, h, "for i in 1 2 3 4 5 6 7 8 9; do (setsid sh -c 'exit 3' &) ; done")
	eventually(t, "no zombie remains", func() bool { return len(h.Processes()) == 0 })
}

func TestCloseEndsEverything(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{SSHD: &lab.SSHD{}})
	shell(t, h, "setsid sleep 1000 >/dev/null 2>&1 & trap '' TERM; setsid sh -c 'trap \"\" TERM HUP; sleep 1000' >/dev/null 2>&1 &")
	forgotten := h.Command(t.Context(), "sleep", "1000")
	if err := forgotten.Start(); err != nil {
		t.Fatal(err)
	}
	unread := h.Command(t.Context(), "cat", "/dev/zero")
	if _, err := unread.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := unread.Start(); err != nil {
		t.Fatal(err)
	}
	space := namespaceOf(t, forgotten.Process.Pid)
	if n := len(membersOf(t, space)); n < 6 {
		t.Errorf("the host's pid namespace has %d processes before its end, want at least 6", n)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if left := membersOf(t, space); len(left) > 0 {
		t.Errorf("after its end the host's pid namespace has the processes %v, want none", left)
	}
	if err := forgotten.Wait(); err == nil {
		t.Error("Wait for a command that the host's end has killed returns no error, want one")
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if _, err := h.Shell("true"); err == nil {
		t.Error("a closed host has run a command, want an error")
	}
}

func TestCloseLeavesNothingInTheTestProcess(t *testing.T) {
	lab.Require(t)
	count := func(dir string) int {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	use := func() {
		h := lab.Start(t, lab.Host{SSHD: &lab.SSHD{}})
		if err := h.Shape(lab.Link{RTT: time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		c, err := lab.Dial(t.Context(), "tcp", h.Addr())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if err := h.Cut(); err != nil {
			t.Fatal(err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	use() // the first use makes descriptors and threads that the runtime keeps
	files, goroutines, threads := count("/proc/self/fd"), runtime.NumGoroutine(), count("/proc/self/task")
	for range 5 {
		use()
	}
	if now := count("/proc/self/fd"); now > files {
		t.Errorf("the test process has %d descriptors after the hosts have ended, want at most the %d from before", now, files)
	}
	eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })
	eventually(t, "threads end", func() bool { return count("/proc/self/task") <= threads+4 })
}

// namespaceOf identifies the pid namespace of a process.
func namespaceOf(t *testing.T, pid int) string {
	t.Helper()
	space, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
	if err != nil {
		t.Fatal(err)
	}
	return space
}

// membersOf lists the machine's processes in a pid namespace.
func membersOf(t *testing.T, space string) (members []string) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if s, err := os.Readlink(link); err == nil && s == space {
			members = append(members, link)
		}
	}
	return members
}

// TestVictim is the other half of TestKilledTestProcessLeavesNothing.
func TestVictim(t *testing.T) {
	if os.Getenv("LAB_VICTIM") == "" {
		t.Skip("only for TestKilledTestProcessLeavesNothing")
	}
	a := lab.Start(t, lab.Host{SSHD: &lab.SSHD{}})
	b := lab.Start(t, lab.Host{})
	for _, h := range []*lab.Running{a, b} {
		cmd := h.Command(context.Background(), "sh", "-c", "trap '' TERM HUP INT; setsid sleep 5000 & sleep 5000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("SPACE %s\n", namespaceOf(t, cmd.Process.Pid))
	}
	if err := a.Shape(lab.Link{RTT: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	fmt.Println("READY")
	select {}
}

func TestKilledTestProcessLeavesNothing(t *testing.T) {
	lab.Require(t)
	mounts := readFile(t, "/proc/self/mountinfo")
	victim := exec.Command("/proc/self/exe", "-test.run=^TestVictim$", "-test.v")
	victim.Env = append(os.Environ(), "LAB_VICTIM=1")
	victim.Stderr = os.Stderr
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	defer victim.Process.Kill()
	var spaces []string
	scanner := bufio.NewScanner(out)
	for scanner.Scan() && scanner.Text() != "READY" {
		if space, ok := strings.CutPrefix(scanner.Text(), "SPACE "); ok {
			spaces = append(spaces, space)
		}
	}
	if len(spaces) != 2 {
		t.Fatalf("the victim has made %d hosts, want 2", len(spaces))
	}
	for _, space := range spaces {
		if n := len(membersOf(t, space)); n < 4 {
			t.Errorf("a host of the victim has %d processes, want at least 4", n)
		}
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	victim.Wait()
	for _, space := range spaces {
		eventually(t, "the processes of the killed victim have ended", func() bool { return len(membersOf(t, space)) == 0 })
	}
	if now := readFile(t, "/proc/self/mountinfo"); now != mounts {
		t.Errorf("after the victim was killed the mounts of this process are\n%swant\n%s", now, mounts)
	}
}
