//go:build linux

package integration

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sources makes files at the desk, for copies in either direction.
func (o *office) sources(t *testing.T) (content []byte) {
	t.Helper()
	content = contentOf(3<<20 + 5)
	cmd := o.desk.Command(t.Context(), "sh", "-c", `mkdir -p /srv/tree/sub && cat >/srv/big &&
		echo one >/srv/tree/1 && echo two >/srv/tree/sub/2 && ln -s sub/2 /srv/tree/link && chmod 750 /srv/tree/sub && mkfifo /srv/endless`)
	cmd.Stdin = bytes.NewReader(content)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return content
}

// placesAtTheHost are files at the host that copies try to replace.
var placesAtTheHost = map[string]string{"/srv/old": "old\n"}

func TestCopiesFromTheCommandLine(t *testing.T) {
	t.Parallel()
	o := newOffice(t, placesAtTheHost)
	content := o.sources(t)
	for _, script := range []string{"mkdir /srv/full /srv/ro /srv/dir", "mount -t tmpfs -o size=1m full /srv/full", "mount -t tmpfs -o ro ro /srv/ro", "cp /srv/old /srv/full/old"} {
		if out, err := o.web.Exec(t.Context(), "sh", "-c", script); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	before := look(o.web)
	sudo := o.path + "/sudo"
	sum := fmt.Sprintf("%x %d ", sha256.Sum256(content), len(content))
	one := fmt.Sprintf("%x 4 ", sha256.Sum256([]byte("one\n")))
	for _, c := range []struct {
		args  []string
		want  result // its err is a part of the message wanted; "" wants no message
		host  string // a command at the host or, behind "desk:", at the desk
		shows string
	}{
		{[]string{"put", "-mode", "640", sudo, "/srv/big", "/root/big"}, result{out: sum + "/root/big\n"},
			"stat -c '%U %a %s' /root/big", fmt.Sprintf("root 640 %d\n", len(content))},
		{[]string{"put", o.path, "/srv/tree/1", "/srv/tree/sub/2", "/home/deploy"}, result{out: one + "/home/deploy/1\n" + fmt.Sprintf("%x 4 ", sha256.Sum256([]byte("two\n"))) + "/home/deploy/2\n"},
			"cat /home/deploy/1 /home/deploy/2; rm /home/deploy/[12]", "one\ntwo\n"},
		{[]string{"put", sudo, "/srv/tree", "/root/tree"}, result{out: "- 8 /root/tree\n"},
			"cd /root/tree && cat 1 link && stat -c %a sub; readlink link; rm -r /root/tree", "one\ntwo\n750\nsub/2\n"},
		{[]string{"get", sudo, "/root/big", "/srv/"}, result{out: sum + "/srv/big\n"}, "rm /root/big", ""},
		{[]string{"get", "-times", sudo, "/root/secret", "/srv/secret"}, result{out: fmt.Sprintf("%x 14 /srv/secret\n", sha256.Sum256([]byte("for root only\n")))},
			"desk:cat /srv/secret", "for root only\n"},
		{[]string{"get", o.path, "/etc/ssh", "/srv/ssh"}, result{err: "/etc/ssh/lab_host_", status: 1}, "", ""},
		{[]string{"get", sudo, "/etc/ssh", "/srv/ssh"}, result{out: "- "}, "desk:test -s /srv/ssh/sshd_config && echo there", "there\n"},

		{[]string{"put", o.path, "/srv/none", "/home/deploy/x"}, result{err: "/srv/none: no such file", status: 1}, "", ""},
		{[]string{"put", o.path, "/srv/none", "/srv/tree/1", "/home/deploy/"}, result{one + "/home/deploy/1\n", "/srv/none", 1}, "rm /home/deploy/1", ""},
		{[]string{"put", o.path, "/srv/big", "/srv/old"}, result{err: "permission denied", status: 1}, "cat /srv/old", "old\n"},
		{[]string{"put", "-noreplace", sudo, "/srv/big", "/srv/old"}, result{err: "file already exists", status: 1}, "cat /srv/old", "old\n"},
		{[]string{"put", sudo, "/srv/big", "/srv/full/old"}, result{err: "no space left", status: 1}, "cat /srv/full/old; ls -A /srv/full", "old\nold\n"},
		{[]string{"put", sudo, "/srv/big", "/srv/ro/x"}, result{err: "read-only", status: 1}, "", ""},
		{[]string{"put", sudo, "/srv/big", "/srv/dir"}, result{err: "is a directory", status: 1}, "", ""},
		{[]string{"get", o.path, "/root/secret", "/srv/secret"}, result{err: "permission denied", status: 1}, "desk:cat /srv/secret; ls -A /srv", "for root only\nbig\nendless\nsecret\nssh\ntree\n"},
		{[]string{"get", "ssh:nobody@" + o.web.Addr(), "/etc/passwd", "/srv/x"}, result{err: "ssh:nobody@", status: 255}, "", ""},
	} {
		got := finish(t, o.command(t.Context(), c.args...))
		if c.want.out == "- " && strings.HasPrefix(got.out, c.want.out) {
			got.out = c.want.out // the text has a size that differs
		}
		if got.out != c.want.out || got.status != c.want.status || !strings.Contains(got.err, c.want.err) || c.want.err == "" && got.err != "" {
			t.Errorf("%q: %+v, not %+v", c.args, got, c.want)
		}
		host, script := o.web, c.host
		if at, ok := strings.CutPrefix(script, "desk:"); ok {
			host, script = o.desk, at
		}
		if out, err := host.Exec(t.Context(), "sh", "-c", script); err != nil || out != c.shows {
			t.Errorf("%q: afterwards %q, %v, not %q", c.args, out, err, c.shows)
		}
	}
	before.restored(t, deathBudget)

	got := finish(t, o.command(t.Context(), "put", "-json", sudo, "/srv/big", "/srv/dir/"))
	var told struct {
		Target, SHA256 string
		Size, Sent     int
	}
	if err := json.Unmarshal([]byte(got.out), &told); err != nil || told.Target != "/srv/dir/big" || told.Size != len(content) || told.Sent != len(content) || told.SHA256 != fmt.Sprintf("%x", sha256.Sum256(content)) {
		t.Errorf("the copy printed %+v, %v, want target, sizes and checksum of /srv/dir/big", got, err)
	}
}

// At the end of a copy its progress is erased from the terminal.
func TestProgressOnATerminal(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	content := o.sources(t)
	cmd := o.command(t.Context(), "put", o.path, "/srv/big", "/home/deploy/big")
	var out bytes.Buffer
	cmd.Stdout = &out
	tty, err := cmd.StartPty()
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	shown, _ := io.ReadAll(tty) // the end of a terminal is an error
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	s := string(shown)
	line := fmt.Sprintf("%x %d /home/deploy/big", sha256.Sum256(content), len(content))
	if bar := strings.Index(s, "%  "); bar < 0 || !strings.HasPrefix(s, "\rbig ") || !strings.Contains(s[bar:], "\r\x1b[K"+line) && out.String() != line+"\n" {
		t.Errorf("the terminal shows %q and the output is %q, want a bar that is erased, and then the line %q", s, &out, line)
	}
}

// A copy that waits for a pipe is ended by a signal, a kill or the loss of the hop. It leaves the
// old file as it was, and no other file.
func TestInterruptedPut(t *testing.T) {
	t.Parallel()
	o := newOffice(t, placesAtTheHost)
	o.sources(t)
	before := look(o.web)
	for name, c := range map[string]struct {
		end    func(cmd *exec.Cmd)
		status int
	}{
		"INT":      {func(cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGINT) }, 128 + int(syscall.SIGINT)},
		"TERM":     {func(cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGTERM) }, 128 + int(syscall.SIGTERM)},
		"KILL":     {func(cmd *exec.Cmd) { _ = cmd.Process.Kill() }, 128 + int(syscall.SIGKILL)},
		"lost hop": {func(*exec.Cmd) { kill(t, o.web, syscall.SIGKILL, sessions(o.web)...) }, 255},
	} {
		cmd := o.command(t.Context(), "put", o.path+"/sudo", "/srv/endless", "/srv/old")
		var out, errOut journal
		cmd.Stdout, cmd.Stderr = &out, &errOut
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// This is more than the pipe and the window hold: once it is written, the copy has
		// begun.
		feed := o.desk.Command(t.Context(), "sh", "-c", "exec 3<>/srv/endless; head -c 4000000 /dev/zero >&3; echo written; exec sleep 86000")
		stdout, err := feed.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := feed.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(stdout, make([]byte, len("written\n"))); err != nil {
			t.Fatalf("%s printed no line, %v, want written: %s", name, err, &errOut)
		}
		c.end(cmd.Cmd)
		ended := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		status := shellStatus(t, cmd.Wait())
		if !ended.Stop() {
			t.Errorf("%s: the copy has not ended within %v", name, patience)
		}
		_ = feed.Process.Kill()
		_ = feed.Wait()
		if status != c.status || out.String() != "" {
			t.Errorf("%s: status %d and output %q, want %d and none: %s", name, status, &out, c.status, &errOut)
		}
		before.restored(t, deathBudget)
	}
}
