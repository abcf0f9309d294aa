//go:build unix

package fakessh_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/fakessh"
)

func TestMain(m *testing.M) {
	contexts.Init()
	if script := os.Getenv(scriptVariable); script != "" {
		os.Exit(runProgram(script))
	}
	// A shell ignores SIGINT and SIGQUIT for what it starts in the background, and nohup SIGHUP.
	// Shims would inherit that from the tests, and leave these signals ignored as ssh does.
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	// What stays for good is not to stay with whoever runs the tests.
	data, err := os.MkdirTemp("", "data")
	if err != nil {
		panic(err)
	}
	os.Setenv("XDG_DATA_HOME", data)
	status := m.Run()
	os.RemoveAll(data)
	os.Exit(status)
}

// child returns a context that tools can be led to.
func child(t testing.TB) *contexts.Node {
	t.Helper()
	self, err := contexts.Start(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := self.Close(); err != nil {
			t.Error(err)
		}
	})
	n, err := self.Connect(t.Context(), local.Child{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// runtimeDir makes a place for the private directories of this test, which must
// be empty in the end.
func runtimeDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "run") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Cleanup(func() {
		if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
			t.Errorf("left: %v, %v", list, err)
		}
		os.RemoveAll(dir)
	})
	return dir
}

// outcome is what is seen of a command that has ended.
type outcome struct {
	out, err string
	status   int
}

// do runs a script in which "ssh" is the shim.
func do(t testing.TB, hosts fakessh.Hosts, script string, args ...string) outcome {
	t.Helper()
	return doIn(t, "sh", hosts, script, args...)
}

func doIn(t testing.TB, shell string, hosts fakessh.Hosts, script string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := fakessh.Command(ctx, hosts, shell, append([]string{"-c", script, "sh"}, args...)...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return outcome{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
}

func TestScripts(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	runtimeDir(t)
	n := child(t)
	dir := t.TempDir()
	hosts := fakessh.Hosts{Names: map[string]contexts.Target{"web": n}}
	for _, c := range []struct {
		name, script string
		want         outcome
	}{
		{"output", `ssh web echo hello`, outcome{"hello\n", "", 0}},
		{"a command line for a shell", `ssh web 'echo a; echo "$1" b >&2'`, outcome{"a\n", " b\n", 0}},
		{"an exit status", `ssh web exit 42`, outcome{"", "", 42}},
		{"death by a signal", `ssh web 'kill -9 $$'`, outcome{"", "", 255}},
		{"input", `echo in | ssh web cat`, outcome{"in\n", "", 0}},
		{"no input", `ssh web cat </dev/null; echo $?`, outcome{"0\n", "", 0}},
		{"closed descriptors", `ssh web cat <&- ; ssh web true >&- 2>&-; echo $?`, outcome{"0\n", "", 0}},
		{"a login shell", `echo 'echo $0' | ssh -T web 2>&1 | sed s/-//`, outcome{"bash\n", "", 0}},
		{"a loop that reads", `printf '1\n2\n3\n' | while read i; do ssh -n web echo $i; done`, outcome{"1\n2\n3\n", "", 0}},
		{"a loop whose input is eaten", `printf '1\n2\n' | while read i; do ssh web "echo $i; cat"; done`, outcome{"1\n2\n", "", 0}},
		{"tar", `cd "$1"; mkdir d; echo x >d/f; tar c d | ssh web "mkdir $1/o; tar x -C $1/o"; cat o/d/f`, outcome{"x\n", "", 0}},
		{"a file", `echo y >"$1/f"; ssh web "cat >$1/g" <"$1/f"; cat "$1/g"`, outcome{"y\n", "", 0}},
		{"sshd's environment", `ssh web 'test "$PWD" = "$HOME" && echo $USER $LOGNAME'`, outcome{me.Username + " " + me.Username + "\n", "", 0}},
		{"SetEnv and SendEnv", `X=3 ssh -oSetEnv=Y=4 -oSendEnv=X web 'echo $X $Y'`, outcome{"3 4\n", "", 0}},
		{"an unknown host", `ssh db true`, outcome{"", "ssh: could not resolve hostname db: known here are: web\r\n", 255}},
		{"an unknown subsystem", `ssh -s web nonsense`, outcome{"", "subsystem request failed on channel 0\r\n", 255}},
		{"the early end of a reader", `ssh web yes | head -n 1`, outcome{"y\n", "", 0}},
		{"a terminal where there is none", `ssh -tt web 'tty >/dev/null && echo yes' </dev/null`, outcome{"yes\r\n", "", 0}},
		{"no terminal", `ssh -t web tty </dev/null`, outcome{"not a tty\n", "Pseudo-terminal will not be allocated because stdin is not a terminal.\r\n", 1}},
		{"messages to a file", `ssh -v -E "$1/log" web true; grep -c debug1 "$1/log"`, outcome{"1\n", "", 0}},
		{"a cleared environment", `p=$(command -v ssh); env -i "$p" web echo hi`, outcome{"hi\n", "", 0}},
		{"only PATH", `env -i PATH="$PATH" ssh web echo hi`, outcome{"hi\n", "", 0}},
		{"another name", `slogin web echo hi; test "$(command -v slogin)" = "${PATH%%:*}/slogin"`, outcome{"hi\n", "", 0}},
		{"in the background", `ssh -f web "sleep .1; echo late >$1/bg"; echo $?; while ! test -s $1/bg; do :; done; cat $1/bg`, outcome{"0\nlate\n", "", 0}},
		{"a signal that is ignored", `cd "$1"; mkfifo held; trap "" INT; ssh web "echo >$1/ready; read x; echo \$x" <held & exec 9>held; until test -s ready; do sleep .01; done
			kill -INT $!; echo on >&9; wait $!`, outcome{"on\n", "", 0}},
		{"what the command leaves running", `ssh web 'sleep 0.2 && echo later &' `, outcome{"later\n", "", 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := do(t, hosts, c.script, dir); got != c.want {
				t.Errorf("%+v, not %+v", got, c.want)
			}
		})
	}
}

func TestManyAtOnce(t *testing.T) {
	runtimeDir(t)
	hosts := fakessh.Hosts{Default: child(t)}
	do(t, hosts, "ssh h true") // what is made once is there
	before, goroutines := descriptors(t), goleak.IgnoreCurrent()
	defer func() {
		if err := goleak.Find(goroutines); err != nil {
			t.Error(err)
		}
		if after := descriptors(t); after > before {
			t.Errorf("%d descriptors, and there were %d", after, before)
		}
	}()
	got := do(t, hosts, `for i in $(seq 50); do { ssh h "cat; exit $i" <<e
$i
e
echo $?; } & done; wait`)
	if lines := strings.Fields(got.out); len(lines) != 100 || got.err != "" {
		t.Errorf("%d lines, %s", len(lines), got.err)
	}
}

// descriptors counts what this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// What a program that was killed has left is removed by the next one, and what
// is in use is not.
func TestLeftoversAreRemoved(t *testing.T) {
	run := runtimeDir(t)
	left := filepath.Join(run, "mitosis-ssh-left")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(left, "socket"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false) // as after a kill
	ln.Close()
	first, err := fakessh.Open(t.Context(), fakessh.Hosts{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := fakessh.Open(t.Context(), fakessh.Hosts{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	for _, p := range []*fakessh.Proxy{first, second} {
		if _, err := os.Stat(p.Path()); err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Nobody reads what a command prints; the end of its shim still is its end.
func TestStuckOutput(t *testing.T) {
	runtimeDir(t)
	n := child(t)
	for _, kind := range []string{"pipe", "socket"} {
		p, err := fakessh.Open(t.Context(), fakessh.Hosts{Default: n})
		if err != nil {
			t.Fatal(err)
		}
		fds := make([]int, 2)
		if kind == "pipe" {
			err = syscall.Pipe(fds)
		} else {
			fds, err = pair()
		}
		if err != nil {
			t.Fatal(err)
		}
		out := os.NewFile(uintptr(fds[1]), kind)
		cmd := exec.Command(p.Path(), "h", "yes")
		cmd.Env, cmd.Stdout = p.Environ(os.Environ()), out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 2)
		if _, err := syscall.Read(fds[0], b); err != nil || string(b) != "y\n" {
			t.Errorf("%s: the command prints %q (error: %v), want y", kind, b, err)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if err := p.Close(); err != nil { // waits for the copying
			t.Error(err)
		}
		out.Close()
		syscall.Close(fds[0])
	}
}

func pair() ([]int, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	return fds[:], err
}

// What the real ssh is for goes there, and never round in a circle.
func TestPassOn(t *testing.T) {
	runtimeDir(t)
	dir := t.TempDir()
	real := filepath.Join(dir, "real")
	if err := os.Mkdir(real, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(real, "ssh"), []byte("#!/bin/sh\necho real \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "ssh")); err != nil {
		t.Fatal(err)
	}
	hosts := fakessh.Hosts{PassOn: true, Names: map[string]contexts.Target{"web": child(t)}}
	got := do(t, hosts, `PATH="${PATH%%:*}:$1:$1/real:$PATH"; ssh -p 3 db x; ssh -O check db; ssh web echo ours`, dir)
	if got.out != "real -p 3 db x\nreal -O check db\nours\n" || got.status != 0 {
		t.Errorf("%+v, want the real ssh for db and ours for web", got)
	}
	got = do(t, hosts, `PATH="${PATH%%:*}:$1"; ssh db x`, dir)
	if got.status != 255 || !strings.Contains(got.err, "there is no ssh in PATH but the one that leads here") {
		t.Errorf("%+v, want status 255, since there is no other ssh", got)
	}
}

// A program in which the variable is missing is no shim, whatever it is called.
func TestTheNameAloneMeansNothing(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ssh")
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, "-test.list=^TestScripts$").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "TestScripts") {
		t.Errorf("under another name it prints %s (error: %v), want the list of tests", out, err)
	}
}
