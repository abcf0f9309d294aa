//go:build linux

package bootstrap

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// runningButClosed starts a process whose program can't be executed again: its file
// system forbids that since.
func runningButClosed(t *testing.T) (pid int) {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	cmd := exec.Command("unshare", "-m", "/bin/sh", "-c", `mount -t tmpfs none "$0"&&cp /bin/cat "$0/cat"&&{ "$0/cat" <&3 & } 3<&0&&i=0&&until readlink /proc/$!/exe|grep -q cat||[ $((i+=1)) = 1000 ];do :;done&&mount -o remount,noexec "$0"&&echo $!;wait`, dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("/proc/" + strconv.Itoa(pid) + "/exe").Run(); !os.IsPermission(err) {
		t.Fatalf("the program can be executed: %v", err)
	}
	return pid
}

// The parent's executable is tried before the shell gives way to it: where it may not be
// executed, the other start methods follow.
func TestParentsExecutableThatIsNotExecuted(t *testing.T) {
	o := opts()
	o.Pid = runningButClosed(t)
	l := NewLaunch(o)
	s := born(t, l, start(t, l.command()), "")
	if s.StartMethod == StartExec {
		t.Errorf("start method %s, want one of those with an image", s.StartMethod)
	}
	answers(t, s)
}

// A probe tries it, too.
func TestProbeTriesTheParentsExecutable(t *testing.T) {
	o := opts()
	o.Pid, o.Same, o.Probe = runningButClosed(t), true, true
	l := NewLaunch(o)
	offer, err := l.Probe(bound(t), start(t, l.command()))
	if err != nil {
		t.Fatal(err)
	}
	if r := offer.StartMethods[0]; r.StartMethod != StartExec || r.Where != "" || r.Lacks != "execution not allowed, Permission denied" {
		t.Errorf("%+v, want that the execution is not allowed", r)
	}
	if offer.Hint != "" {
		t.Errorf("the hint %q where start methods are open", offer.Hint)
	}
}
