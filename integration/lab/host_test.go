//go:build linux

package lab_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/integration/lab"
)

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
		t.Errorf("a script in the host printed %q, want a first line with the host's name, alpha", got)
	}
	for _, path := range []string{marker, "/usr/bin/lab-test", "/home/deploy"} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is on the machine (%v), want it only in the host", path, err)
		}
	}
	if now, _ := os.Hostname(); now != machine {
		t.Errorf("the machine's name became %q, want it to stay %q", now, machine)
	}
	if now := readFile(t, "/proc/self/mountinfo"); now != mounts {
		t.Errorf("the machine's mounts became\n%swant\n%s", now, mounts)
	}
	if now := readFile(t, "/etc/passwd"); now != passwd {
		t.Errorf("the machine's passwd became\n%swant\n%s", now, passwd)
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
		t.Errorf("the fastest of 5 hosts took %v to start, want at most 1s", best)
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
			t.Errorf("executing a file in %s: %q, %v, want permission denied", dir, out, err)
		}
	}
	if out, err := h.Exec(t.Context(), "sh", "-c", "cp /bin/true /run/t && /run/t"); err != nil {
		t.Errorf("executing a file in /run: %q, %v, want no error: it is not in Noexec", out, err)
	}
	const memfd = `my $n = "x"; my $fd = syscall(%d, $n, %d); die "refused" if $fd < 0;
		open F, ">&=", $fd; syswrite F, "#!/bin/sh\nexit 0\n"; exec "/proc/self/fd/$fd" or die "not executable"`
	for flag, want := range map[int]string{0: "not executable", unix.MFD_EXEC: "refused"} {
		out, err := h.Exec(t.Context(), "perl", "-e", fmt.Sprintf(memfd, unix.SYS_MEMFD_CREATE, flag))
		if err == nil || !strings.HasPrefix(out, want) {
			t.Errorf("memfd_create with flag %d: %q, %v, want an error and output that begins with %q", flag, out, err, want)
		}
	}
	if now := readFile(t, "/proc/sys/vm/memfd_noexec"); strings.TrimSpace(now) != "0" {
		t.Errorf("the machine's memfd_noexec is now %s, want 0", now)
	}
}

func TestRemovedProgramsAreAbsent(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{Remove: []string{"perl", "python", "python3", "/usr/bin/bas?64"}, SSHD: &lab.SSHD{}})
	for _, name := range []string{"perl", "python", "python3", "python3.11", "base64"} {
		if out, err := h.Exec(t.Context(), "sh", "-lc", "command -v "+name); err == nil {
			t.Errorf("the host has %s at %s, want it removed", name, out)
		}
	}
	if _, err := h.Exec(t.Context(), "perl", "-e", "1"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("running perl, which was removed: error %v, want %v", err, exec.ErrNotFound)
	}
	shell(t, h, "command -v sed")
	if _, err := os.Stat("/usr/bin/perl"); err != nil {
		t.Errorf("perl on the machine: %v, want it there", err)
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
			t.Errorf("writing to %s: %q, %v, want a read-only file system", dir, out, err)
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
		t.Errorf("writing more than DiskSize: %q, %v, want no space left", out, err)
	}
	c, err := h.DialSSH(t.Context(), "deploy", ssh.Password("pw"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if out, err := run(t, c, "ulimit -n", ""); err != nil || out != "123" {
		t.Errorf("the limit of open files in a login: %q, %v, want 123", out, err)
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
		t.Errorf("a file that the host wrote in a bind has %q, want \"back\\n\"", got)
	}
	if out, err := h.Shell("touch /mnt/ro/x"); err == nil {
		t.Errorf("writing in a read-only bind succeeds (%q), want an error", out)
	}
	if out, err := h.ExecAs(t.Context(), "deploy", self, "-test.run=^$"); err != nil {
		t.Errorf("executing the test binary in the host: %q, %v, want no error", out, err)
	}
	for _, bad := range []string{"relative", "/nonexistent-anywhere"} {
		if h, err := lab.Open(t.Context(), lab.Host{Binds: []string{bad}}); err == nil {
			h.Close()
			t.Errorf("a host with the bind %q has started, want an error", bad)
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
			t.Errorf("the host %+v has started, want an error", h)
			continue
		}
		t.Log(err)
	}
	if _, err := lab.Dial(t.Context(), "tcp", "10.77.0.10:22"); err == nil {
		t.Error("after the failed starts Dial has connected, want no network left")
	}
}

func TestLocale(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{Lang: "de_DE.UTF-8", SSHD: &lab.SSHD{}, Users: []lab.User{{Name: "deploy", Password: "pw"}}})
	if out, err := h.Shell("nl_langinfo() { locale -k LC_TIME | grep ^day=; }; nl_langinfo"); err != nil || !strings.Contains(out, "Montag") {
		t.Errorf("the days of the week in a command: %q, %v, want Montag among them", out, err)
	}
	c, err := h.DialSSH(t.Context(), "deploy", ssh.Password("pw"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if out, err := run(t, c, "locale day", ""); err != nil || !strings.Contains(out, "Montag") {
		t.Errorf("the days of the week in a login: %q, %v, want Montag among them", out, err)
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
		t.Errorf("nothing has happened, and the difference is %q, want none", diff)
	}
	shell(t, h, "echo 22 >/home/deploy/old; rm /srv/gone /etc/issue; touch /tmp/new /dev/shm/new /run/new; mkdir /var/lib/new; chmod 600 /etc/hosts")
	want := []string{
		"+ /dev/shm/new", "~ /etc/hosts", "+ /etc/issue", "~ /home/deploy/old", "+ /run/new",
		"- /srv/gone", "+ /tmp/new", "+ /var/lib/new",
	}
	if diff := lab.Diff(before, h.Snapshot()); !slices.Equal(diff, want) {
		t.Errorf("the difference is\n%q, want\n%q", diff, want)
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
		t.Errorf("a login has changed %q, want nothing beside lab.LoginTraces", diff)
	}
}
