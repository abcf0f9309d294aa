//go:build unix

package fakessh_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/fakessh"
)

// scriptVariable makes this executable a program that runs a script.
const scriptVariable = "FAKESSH_TEST_SCRIPT"

// runProgram runs a script whose ssh leads to a context.
func runProgram(script string) int {
	ctx := context.Background()
	self, err := contexts.Start(ctx, nil)
	if err == nil {
		defer self.Close()
		var n *contexts.Node
		if n, err = self.Connect(ctx, local.Child{}); err == nil {
			cmd := fakessh.Command(ctx, fakessh.Hosts{Default: n}, "sh", "-c", script)
			cmd.Stderr = os.Stderr
			err = cmd.Run()
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// hasEnded is said by an ssh whose program has ended.
const hasEnded = "the program that this ssh belonged to has ended: the way to its hosts is gone\r\n"

// lateCalls are calls of ssh by which a process could get to the real one, when
// its program has ended.
var lateCalls = []struct{ name, shell, script, want string }{
	{"sh", "sh", `ssh h true; echo $?`, "ssh: " + hasEnded + "255\n"},
	{"bash, which remembers paths", "bash", `ssh h true; echo $?`, "ssh: " + hasEnded + "255\n"},
	{"bash, with another PATH behind it", "bash", `PATH=$PATH:/nowhere; ssh h true; echo $?`, "ssh: " + hasEnded + "255\n"},
	{"options only", "sh", `ssh -V; echo $?`, "ssh: " + hasEnded + "255\n"},
	{"the other names", "sh", `slogin h; echo $?; scp a h:b; echo $?; sftp h; echo $?`,
		"slogin: " + hasEnded + "255\nscp: " + hasEnded + "255\nsftp: " + hasEnded + "255\n"},
	{"the path", "sh", `"$p" h; echo $?; $GIT_SSH_COMMAND h; echo $?`, "ssh: " + hasEnded + "255\nssh: " + hasEnded + "255\n"},
	{"a cleared environment", "sh", `env -i PATH="$PATH" ssh h; echo $?; env -i "$p" h; echo $?`, "ssh: " + hasEnded + "255\nssh: " + hasEnded + "255\n"},
	{"python, which closes descriptors", "sh", `python3 -c 'import subprocess; print(subprocess.run(["ssh", "h"]).returncode)'`, "ssh: " + hasEnded + "255\n"},
	{"perl", "sh", `perl -e '$| = 1; system("ssh", "h"); print $? >> 8, "\n"'`, "ssh: " + hasEnded + "255\n"},
	{"git", "sh", `git ls-remote h:x 2>&1 | head -n 1; unset GIT_SSH GIT_SSH_COMMAND; git ls-remote h:x 2>&1 | head -n 1`, "ssh: " + hasEnded + "ssh: " + hasEnded},
	{"rsync", "sh", `rsync h:x . 2>&1 | head -n 1; unset RSYNC_RSH; rsync h:x . 2>&1 | head -n 1`, "ssh: " + hasEnded + "ssh: " + hasEnded},
	{"a daemon", "sh", `setsid sh -c 'exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; cd /; ssh h; echo $?'`, "ssh: " + hasEnded + "255\n"},
}

// A process that outlives its program never gets to the real ssh, however the
// program ended and the process looks for ssh.
func TestSSHOfAProgramThatHasEnded(t *testing.T) {
	realDir := t.TempDir()
	for _, name := range []string{"ssh", "slogin", "scp", "sftp"} {
		if err := os.WriteFile(filepath.Join(realDir, name), []byte("#!/bin/sh\necho the real $0\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", realDir+":"+os.Getenv("PATH"))
	for _, killed := range []bool{false, true} {
		end := "in order"
		if killed {
			end = "by SIGKILL"
		}
		t.Run(end, func(t *testing.T) {
			runtimeDir(t)
			calls := startLateCalls(t, killed)
			// Another program looks after what is left.
			p, err := fakessh.Open(t.Context(), fakessh.Hosts{})
			if err == nil {
				err = p.Close()
			}
			if err != nil {
				t.Error(err)
			}
			for i, c := range lateCalls {
				t.Run(c.name, func(t *testing.T) {
					if got := calls.outcome(t, i); got != "ready 0\n"+c.want {
						t.Errorf("%q, want %q", got, c.want)
					}
				})
			}
			calls.wait(t)
			if p, err = fakessh.Open(t.Context(), fakessh.Hosts{}); err == nil { // it removes what no process knows
				err = p.Close()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// lateCallers are processes that are there after the end of their program.
type lateCallers struct{ dir string }

// startLateCalls returns when the program has ended.
func startLateCalls(t *testing.T, killed bool) lateCallers {
	t.Helper()
	callers := lateCallers{t.TempDir()}
	var script strings.Builder
	for i, c := range lateCalls {
		at := filepath.Join(callers.dir, fmt.Sprint(i))
		if err := syscall.Mkfifo(at+".go", 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at+".sh", []byte("p=$(command -v ssh)\nssh h true\necho ready $?\nread word <"+at+".go\n"+c.script+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&script, "setsid %s %s.sh >%s.out 2>&1 </dev/null & echo $! >%s.pid\n", c.shell, at, at, at)
	}
	// The script ends when all have called ssh once.
	fmt.Fprintf(&script, "cd %s; until test \"$(cat *.out | grep -c ready)\" = %d; do sleep 0.01; done; echo >all", callers.dir, len(lateCalls))
	if killed {
		script.WriteString("; exec sleep 1000")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), scriptVariable+"="+script.String())
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { callers.kill() })
	await(t, "every process has called ssh", func() bool {
		_, err := os.Stat(filepath.Join(callers.dir, "all"))
		return err == nil
	})
	if killed {
		_ = cmd.Process.Kill()
	}
	if err := cmd.Wait(); (err != nil) != killed {
		t.Fatal(err)
	}
	return callers
}

// outcome has a process do its late call, and returns what it has printed.
func (c lateCallers) outcome(t *testing.T, i int) string {
	t.Helper()
	at := filepath.Join(c.dir, fmt.Sprint(i))
	gate, err := os.OpenFile(at+".go", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = gate.WriteString("go\n")
	if err = errors.Join(err, gate.Close()); err != nil {
		t.Fatal(err)
	}
	await(t, "the process ends", func() bool { return !c.lives(i) })
	out, err := os.ReadFile(at + ".out")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func (c lateCallers) pid(i int) (pid int) {
	b, _ := os.ReadFile(filepath.Join(c.dir, fmt.Sprint(i)+".pid"))
	_, _ = fmt.Sscan(string(b), &pid)
	return pid
}

// lives reports whether a process is there, and not only its number until somebody
// takes note of its end.
func (c lateCallers) lives(i int) bool {
	out, err := exec.Command("ps", "-o", "stat=", "-p", fmt.Sprint(c.pid(i))).Output()
	return err == nil && !strings.HasPrefix(string(out), "Z")
}

func (c lateCallers) wait(t *testing.T) {
	t.Helper()
	await(t, "all processes end", func() bool {
		for i := range lateCalls {
			if c.lives(i) {
				return false
			}
		}
		return true
	})
}

func (c lateCallers) kill() {
	for i := range lateCalls {
		if pid := c.pid(i); pid > 0 {
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
	}
}

// await waits for a condition.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after a minute it still is not so that %s", what)
		}
	}
}

// endedDir is the directory behind that of the shim in PATH.
func endedDir(t *testing.T) (string, error) {
	t.Helper()
	p, err := fakessh.Open(t.Context(), fakessh.Hosts{})
	if err != nil {
		return "", err
	}
	for _, e := range p.Environ(nil) {
		if path, ok := strings.CutPrefix(e, "PATH="); ok {
			return strings.Split(path, ":")[1], p.Close()
		}
	}
	t.Fatal("there is no PATH")
	return "", nil
}

// What is found after the end is one place for all programs, and is mended.
func TestPlaceOfWhatIsFoundAfterTheEnd(t *testing.T) {
	runtimeDir(t)
	data, home := t.TempDir(), t.TempDir()
	t.Setenv("XDG_DATA_HOME", data)
	t.Setenv("HOME", home)
	dir, err := endedDir(t)
	if err != nil || filepath.Dir(dir) != data {
		t.Fatalf("%s, %v: it is to be in %s", dir, err, data)
	}
	script := filepath.Join(dir, "ssh")
	for _, damage := range []func() error{
		func() error { return nil },
		func() error { return os.Remove(script) },
		func() error { return os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755) },
		func() error { return os.Chmod(script, 0o777) },
		func() error { return os.Chmod(script, 0o644) },
		func() error { return errors.Join(os.Remove(script), os.Symlink("/bin/true", script)) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if again, err := endedDir(t); err != nil || again != dir {
			t.Fatalf("%s and then %s, %v", dir, again, err)
		}
		out, err := exec.Command(script, "h").CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 255 || string(out) != "ssh: "+hasEnded {
			t.Errorf("the script prints %q and ends with %v, want its message and status 255", out, err)
		}
		if s, err := os.Lstat(script); err != nil || s.Mode() != 0o755 {
			t.Errorf("the script has the mode %v (error: %v), want -rwxr-xr-x", s.Mode(), err)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 4 {
		t.Errorf("the directory has %v (error: %v), want four scripts", list, err)
	}
}

// A place that others have a hand in is not used, nor one that can't be.
func TestPlacesThatAreNotUsed(t *testing.T) {
	run := runtimeDir(t)
	for _, c := range []struct {
		name string
		make func(data string) error
	}{
		{"no directory", func(data string) error { return os.WriteFile(data, nil, 0o600) }},
		{"anybody can write there", func(data string) error { return errors.Join(os.Mkdir(data, 0o777), os.Chmod(data, 0o777)) }},
		{"somebody else's", func(data string) error { return errors.Join(os.Mkdir(data, 0o755), os.Chown(data, 12345, 12345)) }},
		{"not for PATH", func(data string) error { return os.Mkdir(data, 0o755) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "somebody else's" && os.Geteuid() != 0 {
				t.Skip("only root can give a directory away")
			}
			data := filepath.Join(t.TempDir(), "data")
			if c.name == "not for PATH" {
				data += ":x"
			}
			t.Setenv("XDG_DATA_HOME", data)
			t.Setenv("HOME", data)
			if err := c.make(data); err != nil {
				t.Fatal(err)
			}
			dir, err := endedDir(t)
			if err != nil || filepath.Dir(dir) != run {
				t.Errorf("%s, %v: the next place is %s", dir, err, run)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
			if list, err := os.ReadDir(data); err == nil && len(list) > 0 || err != nil && errors.Is(err, fs.ErrPermission) {
				t.Errorf("the place that is not used has %v (error: %v), want nothing in it", list, err)
			}
		})
	}
}
