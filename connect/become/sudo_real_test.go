//go:build linux

package become

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
)

// realSudoEnv is set in the copy of the test that has an /etc of its own.
const realSudoEnv = "CONNECT_TEST_REAL_SUDO"

// realSudoSetup gives the copy an /etc whose changes are in memory, with a user
// who has a password. The hash is SHA-512-crypt of "alice's pass".
const realSudoSetup = `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run/sudo 2>/dev/null || { mkdir -p /run/sudo; mount -t tmpfs tmpfs /run/sudo; }
mount -t tmpfs tmpfs "$1"
echo 'alice ALL=(ALL) ALL' >"$1/sudoers"; chmod 440 "$1/sudoers"
mkdir "$1/up" "$1/work"
mount -t overlay -o lowerdir=/etc,upperdir="$1/up",workdir="$1/work" overlay /etc
hash=$(openssl passwd -6 -salt abc "alice's pass")
other=$(openssl passwd -6 -salt abc "bob's pass")
echo 'alice:x:64123:64123::/:/bin/sh' >>/etc/passwd
echo 'bob:x:64124:64124::/:/bin/sh' >>/etc/passwd
echo 'alice:x:64123:' >>/etc/group
echo 'bob:x:64124:' >>/etc/group
echo "alice:$hash:19000:0:99999:7:::" >>/etc/shadow
echo "bob:$other:19000:0:99999:7:::" >>/etc/shadow
sed -i 's/pam_unix.so/pam_unix.so nodelay/' /etc/pam.d/*
echo "127.0.0.1 $(uname -n)" >>/etc/hosts
cp -p "$1/sudoers" /etc/sudoers
shift
exec "$@"
`

// TestRealSudo runs the sudo of this machine, as a user made for it, in a mount
// namespace of its own.
func TestRealSudo(t *testing.T) {
	if os.Getenv(realSudoEnv) != "" {
		return
	}
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	for _, tool := range []string{"sudo", "unshare", "setpriv", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs " + tool)
		}
	}
	if err := exec.Command("unshare", "-m", "true").Run(); err != nil {
		t.Skip("needs mount namespaces")
	}
	self, _ := os.Executable()
	copied := filepath.Join(must(os.MkdirTemp("/var/tmp", "connect")), "test") // which alice may read
	defer os.RemoveAll(filepath.Dir(copied))
	os.Chmod(filepath.Dir(copied), 0o755)
	if err := exec.Command("cp", self, copied).Run(); err != nil {
		t.Fatal(err)
	}
	for name, prefix := range map[string][]string{
		"TestInsideRealSudo":         nil,
		"TestInsideAsAnOrdinaryUser": {"setpriv", "--reuid=64123", "--regid=64123", "--clear-groups"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"-m", "sh", "-c", realSudoSetup, "setup", t.TempDir()}, prefix...)
			cmd := exec.Command("unshare", append(args, copied, "-test.run=^"+name+"$", "-test.v", "-test.timeout=100s")...)
			cmd.Env = append(os.Environ(), realSudoEnv+"=1", "TMPDIR=/var/tmp")
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS: "+name) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// An ordinary user can't send sudo a signal: it runs as root. The hang-up of
// its terminal and the end of its pipe have to do.
func TestInsideAsAnOrdinaryUser(t *testing.T) {
	if os.Getenv(realSudoEnv) == "" {
		t.Skip("runs inside TestRealSudo")
	}
	const pass = "alice's pass"
	for name, c := range map[string]struct {
		script string
		m      Sudo
		want   string
	}{
		"asking":          {script: `true`, m: Sudo{Password: pass}},
		"reading":         {script: `echo go; exec cat`, m: Sudo{Password: pass}, want: "go\n"},
		"login":           {script: `echo go; exec cat`, m: Sudo{Password: pass, Login: true}, want: "go\n"},
		"ignores signals": {script: `trap "" HUP TERM INT; echo go; exec cat >/dev/null`, m: Sudo{Password: pass}, want: "go\n"},
		"sleeping":        {script: `echo go; exec sleep 1000`, m: Sudo{Password: pass}, want: "go\n"},
	} {
		t.Run(name, func(t *testing.T) {
			connecttest.CheckLeaks(t)
			p := connecttest.Far(c.script)
			asked := make(chan struct{}, 1)
			if c.want == "" {
				c.m.Password = ""
				p.Prompt = func(ctx context.Context, _ connect.Prompt) (string, error) {
					asked <- struct{}{}
					<-ctx.Done()
					return "", ctx.Err()
				}
			}
			ch := connecttest.Open(t, c.m, p)
			head := make([]byte, len(c.want))
			if _, err := io.ReadFull(ch, head); err != nil || string(head) != c.want {
				t.Fatalf("the far side prints %q, want %q (error: %v, cause: %v)", head, c.want, err, connecttest.Cause(t, ch))
			}
			if c.want != "" {
				close(p.Ready)
			} else {
				select {
				case <-asked:
				case <-connecttest.TestContext(t).Done():
					t.Fatal("nobody was asked for the password, want that before the close")
				}
			}
			group := connecttest.ProcessID(ch)
			connecttest.CloseInTime(t, ch)
			connecttest.GroupEnds(t, group)
		})
	}
}

func TestInsideRealSudo(t *testing.T) {
	if os.Getenv(realSudoEnv) == "" {
		t.Skip("runs inside TestRealSudo")
	}
	asAlice := filepath.Join(t.TempDir(), "sudo")
	os.Chmod(filepath.Dir(asAlice), 0o755)
	connecttest.WriteFile(t, asAlice, "#!/bin/sh\nexec setpriv --reuid=64123 --regid=64123 --clear-groups /usr/bin/sudo \"$@\"\n", 0o755)
	os.Chmod(asAlice, 0o755)
	const (
		all  = "alice ALL=(ALL:ALL) ALL\n"
		pass = "alice's pass"
	)
	for _, c := range []struct {
		name    string
		sudoers string
		environ []string
		method  Sudo
		answers []string
		want    error
		text    string
		lines   string // what the far side finds, "uid user"
	}{
		{name: "password", sudoers: all, method: Sudo{Password: pass}},
		{name: "wrong", sudoers: all, method: Sudo{Password: "nope"}, want: connect.ErrPassword},
		{name: "missing", sudoers: all, want: connect.ErrPasswordRequired},
		{name: "a person", sudoers: all, answers: []string{"nope", pass}},
		{name: "a person thrice wrong", sudoers: all, answers: []string{"x", "yy", "zz"}, want: connect.ErrPassword, text: "3 incorrect password attempts"},
		{name: "one try", sudoers: "Defaults passwd_tries=1\n" + all, method: Sudo{Password: "nope"}, want: connect.ErrPassword, text: "1 incorrect password attempt"},
		{name: "without", sudoers: "alice ALL=(ALL) NOPASSWD: ALL\n"},
		{name: "requiretty", sudoers: "Defaults requiretty\n" + all, method: Sudo{Password: pass}},
		{name: "use_pty", sudoers: "Defaults use_pty\n" + all, method: Sudo{Password: pass}},
		{name: "no use_pty", sudoers: "Defaults !use_pty\n" + all, method: Sudo{Password: pass}},
		{name: "log_output", sudoers: "Defaults log_output,log_input,use_pty,iolog_dir=/run/sudo/io\n" + all, method: Sudo{Password: pass}},
		{name: "pwfeedback", sudoers: "Defaults pwfeedback\n" + all, method: Sudo{Password: pass}},
		{name: "pwfeedback wrong", sudoers: "Defaults pwfeedback\n" + all, method: Sudo{Password: "nope"}, want: connect.ErrPassword},
		{name: "targetpw", sudoers: "Defaults targetpw\n" + all, method: Sudo{User: "bob", Password: "bob's pass"}},
		{name: "targetpw asks", sudoers: "Defaults targetpw\n" + all, method: Sudo{User: "bob"}, answers: []string{"bob's pass"}},
		{name: "lecture", sudoers: "Defaults lecture=always,lecture_file=/etc/lecture\n" + all, method: Sudo{Password: pass}},
		{name: "German", sudoers: all, environ: []string{"LANG=de_DE.UTF-8", "LC_ALL=de_DE.UTF-8", "LANGUAGE=de"}, method: Sudo{Password: pass}},
		{name: "badpass_message", sudoers: "Defaults badpass_message=\"Falsch!\"\n" + all, method: Sudo{Password: "nope"}, want: connect.ErrPassword, text: "Falsch!"},
		{name: "prompt forced", sudoers: "Defaults !passprompt_override,passprompt=\"Passwort bitte: \"\n" + all, method: Sudo{Password: pass}},
		{name: "not allowed", sudoers: "bob ALL=(ALL) ALL\n", method: Sudo{Password: pass}, want: connect.ErrPermission, text: "not in the sudoers file"},
		{name: "other command", sudoers: "alice ALL=(ALL) /bin/true\n", method: Sudo{Password: pass}, want: connect.ErrPermission, text: "not allowed to execute"},
		{name: "nobody such", sudoers: "alice ALL=(ALL) NOPASSWD: ALL\n", method: Sudo{User: "nosuch"}, want: connect.ErrBadName, text: "unknown user"},
		{name: "login", sudoers: all, method: Sudo{Password: pass, Login: true}},
		{name: "login bob", sudoers: all, method: Sudo{User: "bob", Password: pass, Login: true, SetHome: true}},
		{name: "environment", sudoers: "alice ALL=(ALL) NOPASSWD:SETENV: ALL\n", method: Sudo{PreserveEnv: true, SetHome: true}},
		{name: "by number", sudoers: "alice ALL=(ALL) NOPASSWD: ALL\n", method: Sudo{User: "#64124"}},
		{name: "timeout", sudoers: "Defaults passwd_timeout=0.02\n" + all, method: Sudo{}, answers: []string{"slow"}, want: connect.ErrTimeout},
		{name: "broken sudoers", sudoers: "this is not sudoers\n", method: Sudo{Password: pass}, want: connect.ErrPermission},
	} {
		t.Run(c.name, func(t *testing.T) {
			connecttest.CheckLeaks(t)
			connecttest.WriteFile(t, "/etc/sudoers", c.sudoers, 0o440)
			connecttest.WriteFile(t, "/etc/lecture", "Your password: is yours.\nEnter password: \n", 0o644)
			exec.Command("sh", "-c", "rm -rf /run/sudo/*").Run()
			t.Setenv("PATH", os.Getenv("PATH"))
			for _, v := range c.environ {
				name, value, _ := strings.Cut(v, "=")
				t.Setenv(name, value)
			}
			m := c.method
			m.Path = asAlice
			p := connecttest.Far(`id -u; : "$x" "\$y"; exec cat`)
			someone := &connecttest.Person{Answers: c.answers}
			if c.answers != nil {
				p.Prompt = someone.Answer
			}
			if c.want == connect.ErrTimeout {
				p.Prompt = func(ctx context.Context, _ connect.Prompt) (string, error) {
					<-ctx.Done()
					return "", ctx.Err()
				}
			}
			started := time.Now()
			ch := connecttest.Open(t, m, p)
			if c.want != nil {
				connecttest.ReadAll(t, ch)
				err := connecttest.Cause(t, ch)
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "mitosis-") {
					t.Errorf("cause: %v", err)
				}
				t.Logf("%v: %v", time.Since(started), err)
				return
			}
			want := "0\n"
			if strings.Contains(m.User, "bob") || m.User == "#64124" {
				want = "64124\n"
			}
			head := make([]byte, len(want))
			if _, err := io.ReadFull(ch, head); err != nil || string(head) != want {
				t.Fatalf("the far side prints %q, want %q (error: %v, cause: %v)", head, want, err, connecttest.Cause(t, ch))
			}
			t.Logf("ready after %v; %+v", time.Since(started), someone.Asked)
			close(p.Ready)
			all := make([]byte, 1<<20)
			for i := range all {
				all[i] = byte(i + i>>8)
			}
			go ch.Write(all)
			back := make([]byte, len(all))
			if _, err := io.ReadFull(ch, back); err != nil || string(back) != string(all) {
				t.Errorf("the pipe is not clean: %v", err)
			}
			process := connecttest.ProcessID(ch)
			started = time.Now()
			connecttest.CloseInTime(t, ch)
			if d := time.Since(started); d > time.Second {
				t.Errorf("closing took %v", d)
			}
			if syscall.Kill(process, 0) == nil {
				t.Error("sudo is left")
			}
		})
	}
}
