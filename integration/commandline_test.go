//go:build linux

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// buildProgram builds the command-line program as users install it.
func buildProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "mitosis")
	goCommand(t, "build", "-trimpath", "-ldflags", "-s -w", "-o", program, module+"cmd/mitosis")
	return program
}

// An office is a desk, the host at which a user types commands, and web, the host to which the
// commands connect.
type office struct {
	desk, web *lab.Running
	key       lab.ClientKey // of the user at the desk
	program   string
	path      string // of hops, to web
}

// newOffice makes an office, with some more files on web.
func newOffice(t *testing.T, files map[string]string) *office {
	t.Helper()
	return newOfficeOf(t, lab.Host{Files: files})
}

// newOfficeOf is like newOffice. host describes web.
func newOfficeOf(t *testing.T, host lab.Host) *office {
	t.Helper()
	lab.Require(t)
	program := buildProgram(t)
	all := map[string]string{
		"/home/deploy/.profile": "echo this is noise; export FROM_PROFILE=yes",
		"/opt/venv/activate":    "VENV=/opt/venv; export VENV",
		"/root/secret":          "for root only\n",
	}
	maps.Copy(all, host.Files)
	key := lab.NewClientKey(t)
	host.Name, host.Files = "web1", all
	host.Users = []lab.User{
		{Name: "deploy", Keys: []string{key.Authorized}},
		{Name: "app"},
	}
	host.Sudoers = "deploy ALL=(ALL) NOPASSWD: ALL"
	host.SSHD = &lab.SSHD{}
	web := lab.Start(t, host)
	desk := lab.Start(t, lab.Host{
		Name:  "desk",
		Binds: []string{program + ":ro"},
		Env:   map[string]string{"XDG_CACHE_HOME": nothingKept}, // tests check that nothing is left at the desk either
		Files: map[string]string{
			"/root/.ssh/id_ed25519":  key.Private,
			"/root/.ssh/known_hosts": web.KnownHosts(),
		},
	})
	return &office{desk, web, key, program, "ssh:deploy@" + web.Addr()}
}

// result is the output and the end of a program.
type result struct {
	out, err string
	status   int // 128 and the number for a signal
}

// finish runs a command at the desk.
func finish(t *testing.T, cmd *lab.Cmd) result {
	t.Helper()
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	status := shellStatus(t, cmd.Run())
	return result{out.String(), errOut.String(), status}
}

// shellStatus returns the exit status by which a shell reports the end of a command.
func shellStatus(t *testing.T, err error) int {
	t.Helper()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if err != nil && !ok {
		t.Fatal(err)
	}
	if !ok {
		return 0
	}
	if status := exit.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}

func (o *office) command(ctx context.Context, args ...string) *lab.Cmd {
	return o.desk.Command(ctx, append([]string{o.program}, args...)...)
}

// The table of a probe has a row for each start method, and says which would be used.
func TestProbeFromTheCommandLine(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	before := look(o.web)
	r := finish(t, o.command(t.Context(), "probe", o.path))
	if r.status != 0 || r.err != "" {
		t.Fatalf("the probe ended with %+v, want status 0 and no message", r)
	}
	for _, row := range [][]string{
		{"system", "Linux"}, {"would", "start", "by", "memfd-perl"},
		{"METHOD", "STATE", "WHERE", "LACKS"},
		{"exec", "closed", "-", "the", "far", "side", "is", "not", "this", "host,"}, {"cache", "closed", "-", "not", "asked", "for"},
		{"memfd-perl", "used", "/usr/bin/perl", "-"}, {"memfd-python3", "open", "/usr/bin/python3", "-"},
		{"ram", "open", "/dev/shm"}, {"tmpfs", "closed", "-", "not", "root"}, {"disk", "open", "/home/deploy", "/var/tmp"},
	} {
		found := false
		for line := range strings.Lines(r.out) {
			words := strings.Fields(line)
			found = found || len(words) >= len(row) && slices.Equal(words[:len(row)], row)
		}
		if !found {
			t.Errorf("the table has no row that begins with %q, want one", row)
		}
	}
	if t.Failed() {
		t.Log(r.out)
	}
	r = finish(t, o.command(t.Context(), "probe", "--json", "-q", o.path))
	var found struct {
		Host  string
		OK    bool
		Value any
	}
	if err := json.Unmarshal([]byte(r.out), &found); err != nil || r.status != 0 || !found.OK || found.Host != o.path {
		t.Fatalf("as JSON the probe ended with %+v, %v, want a result of %s", r, err, o.path)
	}
	if err := schema(t, "probe.json").Validate(asJSON(t, found.Value)); err != nil {
		t.Errorf("%v\n%s", err, r.out)
	}
	before.restored(t, patience)
}

// With -v each hop tells its steps in their order.
func TestVerboseFromTheCommandLine(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	r := finish(t, o.command(t.Context(), "run", "-v", o.path+"/sudo", "--", "echo", "here"))
	var steps []string
	for line := range strings.Lines(r.err) {
		words := strings.SplitN(strings.TrimSpace(line), " ", 2)
		if words[0] == "mitosis:" {
			words = strings.SplitN(strings.TrimSpace(words[1]), " ", 2)
		}
		seconds, err := strconv.ParseFloat(words[0], 64)
		if err != nil || seconds < 0 || seconds > 600 {
			t.Fatalf("a line of -v is %q, want seconds and a step", line)
		}
		steps = append(steps, words[1])
	}
	ends := slices.DeleteFunc(slices.Clone(steps), func(step string) bool { return !strings.HasSuffix(step, ": connected") })
	if r.status != 0 || r.out != "here\n" || len(ends) != 2 || len(steps) < 4 {
		t.Fatalf("run -v ended with %+v, want the steps of two hops", r)
	}
	web, sudo := strings.TrimSuffix(ends[0], ": connected"), strings.TrimSuffix(ends[1], ": connected")
	first, next := slices.Index(steps, ends[0]), slices.IndexFunc(steps, func(step string) bool { return strings.HasPrefix(step, sudo) })
	if sudo != web+"/sudo:root" || first < 1 || next < first || steps[len(steps)-1] != ends[1] {
		t.Errorf("the steps are %q, want those of one hop and then those of the other", steps)
	}
}

func TestRunFromTheCommandLine(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	scenes := []scene{look(o.desk), look(o.web)}
	sudo := o.path + "/sudo"
	for name, c := range map[string]struct {
		args  []string
		stdin string
		want  result // its err is a part of the message wanted; "" wants no message
	}{
		"output":         {args: []string{"run", o.path, "--", "printf", "<%s>", "a b", "$x;", ""}, want: result{out: "<a b><$x;><>"}},
		"both outputs":   {args: []string{"run", o.path, "--", "sh", "-c", "echo out; echo err >&2"}, want: result{"out\n", "err\n", 0}},
		"input":          {args: []string{"run", sudo, "--", "wc", "-c"}, stdin: strings.Repeat("x", 1<<20), want: result{out: "1048576\n"}},
		"no input":       {args: []string{"run", o.path, "--", "cat"}},
		"status":         {args: []string{"run", o.path, "--", "sh", "-c", "exit 42"}, want: result{status: 42}},
		"signal":         {args: []string{"run", sudo, "--", "sh", "-c", "kill -KILL $$"}, want: result{status: 137}},
		"several hops":   {args: []string{"run", o.path + "/sudo:app", "--", "id", "-un"}, want: result{out: "app\n"}},
		"as root":        {args: []string{"run", sudo + "/local", "--", "cat", "/root/secret"}, want: result{out: "for root only\n"}},
		"without ssh:":   {args: []string{"run", "deploy@" + o.web.Addr() + "/sudo:app", "--", "id", "-un"}, want: result{out: "app\n"}},
		"directory":      {args: []string{"run", "-C", "/var/lib", o.path, "--", "pwd"}, want: result{out: "/var/lib\n"}},
		"variable":       {args: []string{"run", "-e", "A=1", "-e", "B=2", o.path, "--", "sh", "-c", "echo $A$B"}, want: result{out: "12\n"}},
		"login":          {args: []string{"run", "--login", o.path, "--", "sh", "-c", "echo $FROM_PROFILE"}, want: result{out: "yes\n"}},
		"no login":       {args: []string{"run", o.path, "--", "sh", "-c", "echo $FROM_PROFILE"}, want: result{out: "\n"}},
		"source":         {args: []string{"run", "-s", "/opt/venv/activate", o.path, "--", "sh", "-c", "echo $VENV"}, want: result{out: "/opt/venv\n"}},
		"not found":      {args: []string{"run", o.path, "--", "no-such-program"}, want: result{err: "not found", status: 127}},
		"not executable": {args: []string{"run", o.path, "--", "/etc/passwd"}, want: result{err: "permission denied", status: 126}},
		"no directory":   {args: []string{"run", "-C", "/none", o.path, "--", "true"}, want: result{err: "/none", status: 127}},
		"no host":        {args: []string{"run", "ssh:" + o.web.IP() + ":1", "--", "true"}, want: result{err: "connection refused", status: 255}},
		"no user":        {args: []string{"run", "ssh:nobody@" + o.web.Addr(), "--", "true"}, want: result{err: "ssh:nobody@", status: 255}},
		"no sudo":        {args: []string{"run", o.path + "/sudo:app/sudo", "--", "true"}, want: result{err: "password", status: 255}},
		"no hop":         {args: []string{"run", "--", "true"}, want: result{err: "HOST... --", status: 2}},
		"no command":     {args: []string{"run", o.path}, want: result{err: "HOST... --", status: 2}},
		"no such hop":    {args: []string{"run", "rsh:web1", "--", "true"}, want: result{err: "no method", status: 2}},
		"a terminal":     {args: []string{"run", "-t", o.path, "--", "sh", "-c", "tty; exit 5"}, want: result{out: "/dev/pts/", status: 5}},
		"a daemon":       {args: []string{"run", o.path, "--", "sh", "-c", "sleep 86000 & echo started"}, want: result{"started\n", "WaitDelay", 0}},
		"a shell":        {args: []string{"shell", o.path}, stdin: "echo $0 in $PWD\nexit 6\n", want: result{"this is noise\n-bash in /home/deploy\n", "", 6}},
	} {
		cmd := o.command(t.Context(), c.args...)
		cmd.Stdin = strings.NewReader(c.stdin)
		got := finish(t, cmd)
		if c.want.out == "/dev/pts/" && strings.HasPrefix(got.out, c.want.out) {
			got.out = c.want.out // any output is right
		}
		if got.out != c.want.out || got.status != c.want.status || !strings.Contains(got.err, c.want.err) || c.want.err == "" && got.err != "" {
			t.Errorf("%s: %+v, not %+v", name, got, c.want)
		}
	}
	for _, s := range scenes {
		s.restored(t, 5*time.Second, "/root/.ssh/known_hosts")
	}
}

// A program may end before its input, a named pipe, does.
func TestRunReadsAFifo(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	script := `mkfifo /tmp/feed && exec 3<>/tmp/feed && (echo one; echo two) >&3 && "$1" run "$2" -- head -n 1 <&3`
	got := finish(t, o.desk.Command(t.Context(), "sh", "-c", script, "sh", o.program, o.path))
	if got != (result{out: "one\n"}) {
		t.Errorf("the run ended with %+v, want only the line one", got)
	}
}

func TestRunPrintsMuch(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	size := 1 << 30
	if testing.Short() {
		size = 64 << 20
	}
	// The parent of the shell is the context.
	script := `head -c "$1" /dev/zero; sed -n 's/VmHWM:\s*\([0-9]*\) kB/\1/p' /proc/$PPID/status >&2`
	cmd := o.command(t.Context(), "run", o.path, "--", "sh", "-c", script, "sh", strconv.Itoa(size))
	var errOut strings.Builder
	cmd.Stderr = &errOut
	got, near := 0, 0
	cmd.Stdout = writerFunc(func(b []byte) (int, error) {
		if got += len(b); got>>20 != (got-len(b))>>20 {
			near = max(near, highWater(cmd.Process.Pid))
		}
		return len(b), nil
	})
	begin := time.Now()
	if err := cmd.Run(); err != nil || got != size {
		t.Fatalf("the run printed %d bytes and ended with %v, want %d bytes and no error: %s", got, err, size, &errOut)
	}
	far, err := strconv.Atoi(strings.TrimSpace(errOut.String()))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d MiB in %v; at most %d MiB of memory here and %d MiB there", size>>20, time.Since(begin), near>>10, far>>10)
	if near == 0 || near > 128<<10 || far > 128<<10 {
		t.Errorf("the run took %d MiB of memory here and %d MiB there, want at most 128 MiB each, and a number for here", near>>10, far>>10)
	}
}

// highWater returns the most memory that a process has had, in KiB; 0 if it has ended. getrusage
// does not serve: a child shares the memory of its parent until it executes its program, and
// getrusage would count a large parent for it.
func highWater(pid int) (kib int) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	_, _ = fmt.Sscan(rest, &kib)
	return kib
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// Signals go to the program at the far side. A third signal kills a program that ignores them.
func TestRunForwardsSignals(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	before := look(o.web)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		cmd, out := o.startReady(t, `trap 'echo caught; exit 33' INT TERM HUP QUIT; echo ready; while :; do sleep 0.01; done`)
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if got := exitStatus(t, cmd); got != 33 || !strings.Contains(out.String(), "caught\n") {
			t.Errorf("%v, caught by the program: status %d and output %q, want 33 and caught", sig, got, out)
		}
		cmd, _ = o.startReady(t, `trap '' INT TERM HUP QUIT; echo ready; while :; do sleep 86000; done`)
		// The kernel may join two pending signals of one kind.
		sent := 0
		eventually(t, patience, "the third signal ends it", func() bool {
			sent++
			return errors.Is(cmd.Process.Signal(sig), os.ErrProcessDone) || hasEnded(cmd)
		})
		if got := exitStatus(t, cmd); got != 128+int(sig) || sent < 3 {
			t.Errorf("%v, ignored by the program: status %d after %d signals, want %d after at least 3", sig, got, sent, 128+int(sig))
		}
	}
	before.restored(t, 5*time.Second)
}

// startReady runs a script over ssh and sudo until it says that it is ready.
func (o *office) startReady(t *testing.T, script string) (*lab.Cmd, *journal) {
	t.Helper()
	cmd, out := o.command(t.Context(), "run", o.path+"/sudo", "--", "sh", "-c", script), new(journal)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the script is ready", func() bool { return strings.HasPrefix(out.String(), "ready\n") })
	return cmd, out
}

// hasEnded reports whether a command has ended. It does not reap it.
func hasEnded(cmd *lab.Cmd) bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err != nil || info.Signo != 0
}

func exitStatus(t *testing.T, cmd *lab.Cmd) int {
	t.Helper()
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && !exit.Sys().(syscall.WaitStatus).Signaled() {
		return exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return 0
}

// A client that is killed at any moment leaves no process and no file at the far side.
func TestKilledRunLeavesNothing(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	before := look(o.web)
	const script = `trap '' TERM HUP INT; sleep 86000 & (while :; do sleep 86001; done) & echo ready; while :; do sleep 86002; done`
	begin := time.Now()
	cmd, _ := o.startReady(t, script)
	span := time.Since(begin)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	const moments = 40
	for i := range moments {
		before.gone(t, deathBudget)
		out := new(journal)
		cmd := o.command(t.Context(), "run", o.path+"/sudo", "--", "sh", "-c", script)
		cmd.Stdout = out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if i%4 == 0 {
			eventually(t, patience, "the script is ready", func() bool { return out.String() == "ready\n" })
		} else {
			<-time.After(span * time.Duration(i) / moments)
		}
		_ = cmd.Process.Signal([]syscall.Signal{syscall.SIGKILL, syscall.SIGKILL, syscall.SIGTERM}[i%3])
		if i%3 == 2 {
			_ = cmd.Process.Signal(syscall.SIGKILL) // behind its back
		}
		_ = cmd.Wait()
	}
	before.restored(t, deathBudget)
}

// gone waits for the end of all processes that were started since.
func (s scene) gone(t *testing.T, limit time.Duration) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for left := s.newProcesses(); len(left) > 0; left = s.newProcesses() {
		if time.Now().After(deadline) {
			t.Fatalf("after %v %s still has the processes %v, want none of those that were started since", limit, s.host.Name(), left)
		}
		<-time.After(10 * time.Millisecond)
	}
}
