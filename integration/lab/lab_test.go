//go:build linux

package lab_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// shell runs a script that must succeed and returns its trimmed output.
func shell(t *testing.T, h *lab.Running, script string) string {
	t.Helper()
	out, err := h.Shell(script)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// eventually waits for something that another process does, and fails after a
// time that only a broken one needs.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long: %s", what)
		}
	}
}

func run(t *testing.T, c *ssh.Client, command, stdin string) (string, error) {
	t.Helper()
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	session.Stdin = strings.NewReader(stdin)
	out, err := session.CombinedOutput(command)
	return strings.TrimSpace(string(out)), err
}

func TestHostIsSeparateFromTheMachine(t *testing.T) {
	lab.Require(t)
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	mounts := readFile(t, "/proc/self/mountinfo")
	passwd := readFile(t, "/etc/passwd")
	h := lab.Start(t, lab.Host{Name: "alpha", Users: []lab.User{{Name: "deploy"}}})
	marker := "/etc/lab-test-marker"
	if got := shell(t, h, "touch "+marker+" /usr/bin/lab-test; hostname; ls /tmp/*.marker 2>/dev/null; ls /proc/1/root/ >/dev/null; echo $$"); !strings.HasPrefix(got, "alpha\n") {
		t.Errorf("in the host: %q", got)
	}
	for _, path := range []string{marker, "/usr/bin/lab-test", "/home/deploy"} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s on the machine: %v", path, err)
		}
	}
	if now, _ := os.Hostname(); now != machine {
		t.Errorf("the machine's name became %q", now)
	}
	if now := readFile(t, "/proc/self/mountinfo"); now != mounts {
		t.Errorf("the machine's mounts changed:\n%s", now)
	}
	if now := readFile(t, "/etc/passwd"); now != passwd {
		t.Error("the machine's passwd changed")
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestStartTakesAboutATenthOfASecond(t *testing.T) {
	lab.Require(t)
	var best time.Duration
	for range 5 {
		start := time.Now()
		h := lab.Start(t, lab.Host{Users: []lab.User{{Name: "deploy", Password: "pw"}}, Sudoers: "deploy ALL=(ALL) ALL", SSHD: &lab.SSHD{}})
		took := time.Since(start)
		if best == 0 || took < best {
			best = took
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("best of 5: %v", best)
	if best > time.Second {
		t.Errorf("a host took %v at best", best)
	}
}

func TestSSHLogin(t *testing.T) {
	lab.Require(t)
	key := lab.NewClientKey(t)
	for _, pam := range []string{"yes", "no"} {
		t.Run("UsePAM="+pam, func(t *testing.T) {
			t.Parallel()
			h := lab.Start(t, lab.Host{
				Users: []lab.User{
					{Name: "deploy", Password: "s3cret", Keys: []string{key.Authorized}},
					{Name: "gone", Password: "s3cret", Locked: true},
					{Name: "root", Password: "r00t"},
				},
				SSHD: &lab.SSHD{Config: []string{"UsePAM " + pam, "Match User deploy", "X11Forwarding no"}, KeyTypes: []string{"ed25519", "ecdsa"}},
				Env:  map[string]string{"LAB": "here it is"},
			})
			for name, auth := range map[string]ssh.AuthMethod{"key": ssh.PublicKeys(key.Signer), "password": ssh.Password("s3cret")} {
				c, err := h.DialSSH(t.Context(), "deploy", auth)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				out, err := run(t, c, "id -un; pwd; id -u", "")
				if err != nil || out != "deploy\n/home/deploy\n2000" {
					t.Errorf("%s: %q, %v", name, out, err)
				}
				if out, _ := run(t, c, "echo $LAB", ""); pam == "yes" && out != "here it is" {
					t.Errorf("environment: %q", out)
				}
				c.Close()
			}
			c, err := h.DialSSH(t.Context(), "root", ssh.Password("r00t"))
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			for user, password := range map[string]string{"deploy": "wrong", "gone": "s3cret"} {
				if _, err := h.DialSSH(t.Context(), user, ssh.Password(password)); err == nil {
					t.Errorf("%s came in with %q", user, password)
				}
			}
		})
	}
}

func TestDropbear(t *testing.T) {
	lab.Require(t)
	lab.RequireProgram(t, "dropbear")
	key := lab.NewClientKey(t)
	h := lab.Start(t, lab.Host{
		Users: []lab.User{{Name: "deploy", Password: "s3cret", Keys: []string{key.Authorized}}},
		SSHD:  &lab.SSHD{Dropbear: true, Port: 2222},
	})
	for name, auth := range map[string]ssh.AuthMethod{"key": ssh.PublicKeys(key.Signer), "password": ssh.Password("s3cret")} {
		c, err := h.DialSSH(t.Context(), "deploy", auth)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if out, err := run(t, c, "id -un", ""); err != nil || out != "deploy" {
			t.Errorf("%s: %q, %v", name, out, err)
		}
		c.Close()
	}
}

func TestOpenSSHClientInAnotherHost(t *testing.T) {
	lab.Require(t)
	key := lab.NewClientKey(t)
	server := lab.Start(t, lab.Host{
		Name:  "web1",
		Users: []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}},
		SSHD:  &lab.SSHD{Port: 2222},
	})
	client := lab.Start(t, lab.Host{
		Name:  "master",
		Users: []lab.User{{Name: "admin"}},
		Files: map[string]string{
			"/home/admin/.ssh/id_ed25519":  key.Private,
			"/home/admin/.ssh/known_hosts": server.KnownHosts(),
			"/usr/local/bin/hello":         "#!/bin/sh\necho hello\n",
		},
	})
	for _, name := range []string{"web1", server.IP()} {
		cmd := client.CommandAs(t.Context(), "admin", "ssh", "-p2222", "-oBatchMode=yes", "deploy@"+name, "hostname; cat")
		cmd.Stdin = strings.NewReader("through and back")
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != "web1\nthrough and back" {
			t.Errorf("ssh to %s: %q, %v", name, out, err)
		}
	}
	if out := shell(t, client, "hello"); out != "hello" {
		t.Errorf("script from Files: %q", out)
	}
}

func TestSudo(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{
		Users: []lab.User{
			{Name: "deploy", Password: "s3cret"},
			{Name: "free"}, {Name: "tty", Password: "pw"}, {Name: "nobodyspecial", Password: "pw"},
			{Name: "member", Password: "pw", Groups: []string{"sudo", "operators"}},
		},
		Sudoers: "deploy ALL=(ALL) ALL\nfree ALL=(ALL) NOPASSWD: ALL\ntty ALL=(ALL) ALL\nDefaults:tty requiretty\n",
	})
	sudo := func(user, stdin string, argv ...string) (string, error) {
		cmd := h.CommandAs(t.Context(), user, append([]string{"sudo"}, argv...)...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	for _, c := range []struct {
		user, stdin, want string
		argv              []string
		fails             bool
	}{
		{"deploy", "s3cret\n", "root", []string{"-S", "-p", "", "id", "-un"}, false},
		{"member", "pw\n", "root", []string{"-S", "-p", "", "id", "-un"}, false},
		{"free", "", "deploy", []string{"-u", "deploy", "id", "-un"}, false},
		{"deploy", "wrong\n", "incorrect", []string{"-k", "-S", "-p", "", "id", "-un"}, true},
		{"deploy", "", "a terminal is required", []string{"-k", "id", "-un"}, true},
		{"tty", "pw\n", "must have a tty", []string{"-S", "id", "-un"}, true},
		{"nobodyspecial", "pw\n", "not in the sudoers", []string{"-S", "id", "-un"}, true},
	} {
		out, err := sudo(c.user, c.stdin, c.argv...)
		if (err != nil) != c.fails || !strings.Contains(out, c.want) {
			t.Errorf("%s, sudo %v: %q, %v", c.user, c.argv, out, err)
		}
	}
}

// converse answers a command's prompt on a terminal and returns all it has said. It
// hangs up when the command ends, or asks something more that contains again.
func converse(t *testing.T, cmd *lab.Cmd, prompt, answer, again string) (string, error) {
	t.Helper()
	pty, err := cmd.StartPty()
	if err != nil {
		t.Fatal(err)
	}
	defer pty.Close()
	pty.SetDeadline(time.Now().Add(20 * time.Second))
	var said strings.Builder
	answered := false
	buf := make([]byte, 4096)
	for {
		n, err := pty.Read(buf)
		said.Write(buf[:n])
		if !answered && strings.Contains(said.String(), prompt) {
			answered = true
			if _, err := pty.WriteString(answer + "\n"); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil || strings.Contains(said.String(), again) {
			break // the error is EIO: the last process has closed the other side
		}
	}
	pty.Close()
	return said.String(), cmd.Wait()
}

func TestPromptsOnATerminal(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{
		Users: []lab.User{
			{Name: "deploy", Password: "s3cret"}, {Name: "other", Password: "pw2"},
			{Name: "late", Password: "old", Expired: true},
		},
		Sudoers: "Defaults requiretty, use_pty\ndeploy ALL=(ALL) ALL",
		SSHD:    &lab.SSHD{},
	})
	for _, c := range []struct {
		argv           []string
		prompt, answer string
		want           string
	}{
		{[]string{"sudo", "-p", "PW:", "sh", "-c", "id -un; tty"}, "PW:", "s3cret", "root\r\n/dev/pts/"},
		{[]string{"su", "other", "-c", "id -un"}, "assword:", "pw2", "other\r\n"},
	} {
		out, err := converse(t, h.CommandAs(t.Context(), "deploy", c.argv...), c.prompt, c.answer, "no more")
		if err != nil || !strings.Contains(out, c.want) {
			t.Errorf("%v: %q, %v", c.argv, out, err)
		}
	}
	out, _ := converse(t, h.CommandAs(t.Context(), "deploy", "su", "late", "-c", "id -un"), "assword:", "old", "urrent password:")
	if !strings.Contains(out, "change your password") {
		t.Errorf("expired account: %q", out)
	}
}

func TestNoexecIsHonoured(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{
		Users:   []lab.User{{Name: "deploy"}},
		Noexec:  []string{"/tmp", "/dev/shm", "/home", "/var/tmp"},
		NoMemfd: true,
	})
	for _, dir := range []string{"/tmp", "/dev/shm", "/home/deploy", "/var/tmp"} {
		out, err := h.ExecAs(t.Context(), "deploy", "/bin/sh", "-c", "cp /bin/true "+dir+"/t && "+dir+"/t")
		if err == nil || !strings.Contains(out, "Permission denied") {
			t.Errorf("%s: %q, %v", dir, out, err)
		}
	}
	if out, err := h.Exec(t.Context(), "sh", "-c", "cp /bin/true /run/t && /run/t"); err != nil {
		t.Errorf("/run: %q, %v", out, err)
	}
	const memfd = `my $n = "x"; my $fd = syscall(%d, $n, %d); die "refused" if $fd < 0;
		open F, ">&=", $fd; syswrite F, "#!/bin/sh\nexit 0\n"; exec "/proc/self/fd/$fd" or die "not executable"`
	for flag, want := range map[int]string{0: "not executable", unix.MFD_EXEC: "refused"} {
		out, err := h.Exec(t.Context(), "perl", "-e", fmt.Sprintf(memfd, unix.SYS_MEMFD_CREATE, flag))
		if err == nil || !strings.HasPrefix(out, want) {
			t.Errorf("memfd_create with flag %d: %q, %v", flag, out, err)
		}
	}
	if now := readFile(t, "/proc/sys/vm/memfd_noexec"); strings.TrimSpace(now) != "0" {
		t.Errorf("the machine's memfd_noexec is now %s", now)
	}
}

func TestRemovedProgramsAreAbsent(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{Remove: []string{"perl", "python", "python3", "/usr/bin/bas?64"}, SSHD: &lab.SSHD{}})
	for _, name := range []string{"perl", "python", "python3", "python3.11", "base64"} {
		if out, err := h.Exec(t.Context(), "sh", "-lc", "command -v "+name); err == nil {
			t.Errorf("%s is still there: %s", name, out)
		}
	}
	if _, err := h.Exec(t.Context(), "perl", "-e", "1"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("perl: %v", err)
	}
	shell(t, h, "command -v sed")
	if _, err := os.Stat("/usr/bin/perl"); err != nil {
		t.Errorf("on the machine: %v", err)
	}
}

func TestReadOnlyRoot(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{
		ReadOnlyRoot: true, ReadOnly: []string{"/home", "/root"}, SSHD: &lab.SSHD{},
		Users: []lab.User{{Name: "deploy", Password: "pw"}},
	})
	for _, dir := range []string{"/etc", "/var/tmp", "/usr/bin", "/home/deploy", "/root"} {
		if out, err := h.Shell("touch " + dir + "/x"); err == nil || !strings.Contains(out, "Read-only") {
			t.Errorf("%s: %q, %v", dir, out, err)
		}
	}
	shell(t, h, "touch /tmp/x /run/x /dev/shm/x")
	c, err := h.DialSSH(t.Context(), "deploy", ssh.Password("pw"))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestDiskSizeAndLimits(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{
		DiskSize: "2m", SSHD: &lab.SSHD{Config: []string{"UsePAM no"}},
		Users:  []lab.User{{Name: "deploy", Password: "pw"}},
		Limits: map[int]unix.Rlimit{unix.RLIMIT_NOFILE: {Cur: 123, Max: 123}},
	})
	if out, err := h.Shell("head -c 4000000 /dev/zero > /var/tmp/big"); err == nil || !strings.Contains(out, "No space") {
		t.Errorf("full disk: %q, %v", out, err)
	}
	c, err := h.DialSSH(t.Context(), "deploy", ssh.Password("pw"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if out, err := run(t, c, "ulimit -n", ""); err != nil || out != "123" {
		t.Errorf("limit of open files: %q, %v", out, err)
	}
}

func TestBindsAndOwnBinary(t *testing.T) {
	lab.Require(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "from-machine"), []byte("yes"), 0o644); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := lab.Start(t, lab.Host{Binds: []string{dir, dir + ":/mnt/ro:ro"}, Users: []lab.User{{Name: "deploy"}}})
	shell(t, h, "test \"$(cat "+dir+"/from-machine)\" = yes; echo back > "+dir+"/from-host")
	if got := readFile(t, filepath.Join(dir, "from-host")); got != "back\n" {
		t.Errorf("from the host: %q", got)
	}
	if out, err := h.Shell("touch /mnt/ro/x"); err == nil {
		t.Errorf("read-only bind: %q", out)
	}
	if out, err := h.ExecAs(t.Context(), "deploy", self, "-test.run=^$"); err != nil {
		t.Errorf("the test binary in the host: %q, %v", out, err)
	}
	for _, bad := range []string{"relative", "/nonexistent-anywhere"} {
		if h, err := lab.Open(t.Context(), lab.Host{Binds: []string{bad}}); err == nil {
			h.Close()
			t.Errorf("bind %q was accepted", bad)
		}
	}
}

func TestFailedStartLeavesNothing(t *testing.T) {
	lab.Require(t)
	for _, h := range []lab.Host{
		{Setup: []string{"echo oh no; exit 3"}},
		{Sudoers: "this is not a rule"},
		{SSHD: &lab.SSHD{Config: []string{"NoSuchOption yes"}}},
		{SSHD: &lab.SSHD{KeyTypes: []string{"sha1"}}},
		{Lang: "xx_YY.UTF-8"},
		{ReadOnly: []string{"/nonexistent-anywhere"}},
	} {
		r, err := lab.Open(t.Context(), h)
		if err == nil {
			r.Close()
			t.Errorf("%+v started", h)
			continue
		}
		t.Log(err)
	}
	if _, err := lab.Dial(t.Context(), "tcp", "10.77.0.10:22"); err == nil {
		t.Error("there is still a network")
	}
}

func TestLocale(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{Lang: "de_DE.UTF-8", SSHD: &lab.SSHD{}, Users: []lab.User{{Name: "deploy", Password: "pw"}}})
	if out, err := h.Shell("nl_langinfo() { locale -k LC_TIME | grep ^day=; }; nl_langinfo"); err != nil || !strings.Contains(out, "Montag") {
		t.Errorf("command: %q, %v", out, err)
	}
	c, err := h.DialSSH(t.Context(), "deploy", ssh.Password("pw"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if out, err := run(t, c, "locale day", ""); err != nil || !strings.Contains(out, "Montag") {
		t.Errorf("login: %q, %v", out, err)
	}
}

func TestSnapshotsShowWhatChanged(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{
		Users: []lab.User{{Name: "deploy", Password: "pw"}}, SSHD: &lab.SSHD{},
		Files: map[string]string{"/home/deploy/old": "1", "/srv/gone": "1"}, Binds: []string{t.TempDir()},
	})
	before := h.Snapshot()
	if diff := lab.Diff(before, h.Snapshot()); len(diff) > 0 {
		t.Errorf("nothing happened, but: %q", diff)
	}
	shell(t, h, "echo 22 >/home/deploy/old; rm /srv/gone /etc/issue; touch /tmp/new /dev/shm/new /run/new; mkdir /var/lib/new; chmod 600 /etc/hosts")
	want := []string{
		"+ /dev/shm/new", "~ /etc/hosts", "+ /etc/issue", "~ /home/deploy/old", "+ /run/new",
		"- /srv/gone", "+ /tmp/new", "+ /var/lib/new",
	}
	if diff := lab.Diff(before, h.Snapshot()); !slices.Equal(diff, want) {
		t.Errorf("got  %q\nwant %q", diff, want)
	}
	before = h.Snapshot()
	c, err := h.DialSSH(t.Context(), "deploy", ssh.Password("pw"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, c, "true", ""); err != nil {
		t.Error(out, err)
	}
	c.Close()
	eventually(t, "the session's processes end", func() bool { return len(h.Processes()) == 1 })
	if diff := lab.Diff(before, h.Snapshot(), lab.LoginTraces...); len(diff) > 0 {
		t.Errorf("a login changed %q", diff)
	}
}

func TestProcesses(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{Users: []lab.User{{Name: "deploy"}}, HidePID: true})
	if procs := h.Processes(); len(procs) != 0 {
		t.Errorf("an idle host has %v", procs)
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
		t.Errorf("%+v", p)
	}
	if err := h.Kill(p.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is stopped", func() bool { return find("4321").State == "T" })
	for _, p := range h.Processes() {
		if err := h.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("killed, but it says nothing")
	}
	eventually(t, "all are reaped", func() bool { return len(h.Processes()) == 0 })
	if err := h.Kill(99999, syscall.SIGTERM); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("no such process: %v", err)
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
		t.Errorf("only %d processes in the host's pid namespace", n)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if left := membersOf(t, space); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if err := forgotten.Wait(); err == nil {
		t.Error("sleep ended well")
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if _, err := h.Shell("true"); err == nil {
		t.Error("a closed host runs commands")
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
	use() // the runtime keeps some descriptors and threads of the first
	files, goroutines, threads := count("/proc/self/fd"), runtime.NumGoroutine(), count("/proc/self/task")
	for range 5 {
		use()
	}
	if now := count("/proc/self/fd"); now > files {
		t.Errorf("%d descriptors became %d", files, now)
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
		t.Fatalf("the victim made %d hosts", len(spaces))
	}
	for _, space := range spaces {
		if n := len(membersOf(t, space)); n < 4 {
			t.Errorf("only %d processes in the host", n)
		}
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	victim.Wait()
	for _, space := range spaces {
		eventually(t, "processes of the killed one are gone", func() bool { return len(membersOf(t, space)) == 0 })
	}
	if now := readFile(t, "/proc/self/mountinfo"); now != mounts {
		t.Errorf("mounts: %s", now)
	}
}

func TestTwentyHosts(t *testing.T) {
	lab.Require(t)
	start := time.Now()
	hosts := make([]*lab.Running, 20)
	var group sync.WaitGroup
	for i := range hosts {
		group.Go(func() {
			h, err := lab.Open(t.Context(), lab.Host{
				Name:  fmt.Sprintf("node%d", i),
				Users: []lab.User{{Name: "deploy", Password: "pw"}}, SSHD: &lab.SSHD{},
			})
			if err != nil {
				t.Error(err)
				return
			}
			hosts[i] = h
		})
	}
	group.Wait()
	t.Logf("20 hosts after %v", time.Since(start))
	for _, h := range hosts {
		if h == nil {
			t.Fatal("not all hosts started")
		}
		t.Cleanup(func() {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			c, err := h.DialSSH(t.Context(), "deploy", ssh.Password("pw"))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if out, err := run(t, c, "hostname", ""); err != nil || out != h.Name() {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
	group.Wait()
}

// echo listens in the test process and returns what is sent to it.
func echo(t *testing.T) string {
	t.Helper()
	l, err := lab.Listen("tcp", lab.StationIP+":0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); conns.Wait() })
	return l.Addr().String()
}
