//go:build linux

package integration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts/files"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// awkwardPlaces are targets of every kind, at a host with the users deploy and
// app.
var awkwardPlaces = lab.Host{
	Files: map[string]string{
		"/srv/hosts": "old\n", "/srv/below": "old\n", "/srv/ro/mounted": "old\n",
		"/srv/theirs/mine": "old\n", "/srv/theirs/root's": "old\n", "/srv/theirs/team": "old\n",
		"/srv/mine/team": "old\n", "/srv/mine/secret": "old\n", "/srv/mine/listed": "old\n",
		"/srv/secret": "old\n", "/srv/file": "old\n",
	},
	Setup: []string{
		"mknod -m 666 /srv/null c 1 3; mknod -m 666 /srv/full c 1 7; ln -s null /srv/linked; ln -s mine /srv/todir; ln -s file /srv/tofile; mkfifo -m 622 /srv/pipe",
		"mount --bind /srv/below /srv/hosts",
		"mount --bind /srv/ro /srv/ro; mount --bind /srv/below /srv/ro/mounted; mount -o remount,bind,ro /srv/ro",
		"chown deploy /srv/theirs/mine; chown deploy /srv/mine; chown root:deploy /srv/theirs/team; chmod 660 /srv/theirs/team",
		"cd /srv/mine; chown root:deploy team; chmod 660 team; chown root:app secret; chmod 640 secret; chmod 660 listed; setfacl -m u:deploy:rw listed",
		"chown root:app /srv/secret; chmod 640 /srv/secret; setfacl -m u:deploy:r /srv/secret; setfattr -n user.note -v kept /srv/secret",
	},
}

// Root and an ordinary user copy onto targets of awkward kinds.
func TestPutOntoAwkwardTargets(t *testing.T) {
	t.Parallel()
	o := newOfficeOf(t, awkwardPlaces)
	content := o.sources(t)
	sudo := o.path + "/sudo"
	small := fmt.Sprintf("%x 4 ", sha256.Sum256([]byte("one\n")))
	large := fmt.Sprintf("%x %d ", sha256.Sum256(content), len(content))
	const show = "stat -c '%a %U:%G %h' "
	for _, c := range []struct {
		args  []string
		want  result // its err is a part of the message wanted; "" wants no message
		host  string
		shows string
	}{
		{[]string{"put", sudo, "/srv/tree/1", "/srv/null"}, result{out: small + "/srv/null\n"}, "stat -c %F /srv/null", "character special file\n"},
		{[]string{"put", sudo, "/srv/big", "/srv/null"}, result{out: large + "/srv/null\n"}, "stat -c %F /srv/null", "character special file\n"},
		{[]string{"put", o.path, "/srv/big", "/srv/linked"}, result{out: large + "/srv/linked\n"}, "readlink /srv/linked; stat -c %F /srv/null", "null\ncharacter special file\n"},
		{[]string{"put", "-mode", "600", "-times", "-sync", sudo, "/srv/big", "/srv/null"}, result{out: large + "/srv/null\n"}, "stat -c %a /srv/null", "666\n"},
		{[]string{"put", "-nospecial", sudo, "/srv/big", "/srv/null"}, result{err: "/srv/null: invalid argument: it is a character device", status: 1}, "stat -c %F /srv/null", "character special file\n"},
		{[]string{"put", sudo, "/srv/big", "/srv/full"}, result{err: "/srv/full: no space left on device; the target is incomplete", status: 1}, "stat -c %F /srv/full", "character special file\n"},
		{[]string{"put", sudo, "/srv/big", "/srv/todir"}, result{err: "/srv/todir: is a directory", status: 1}, "readlink /srv/todir", "mine\n"},
		{[]string{"put", sudo, "/srv/tree/1", "/srv/tofile"}, result{small + "/srv/tofile\n", "/srv/tofile was a symbolic link and has been replaced", 0}, "cat /srv/tofile /srv/file", "one\nold\n"},
		{[]string{"put", sudo, "/srv/tree/1", "/proc/self/fd/1"}, result{err: "it is a descriptor of a process", status: 1}, "", ""},
		{[]string{"put", sudo, "/srv/tree/1", "/dev/fd/0"}, result{err: "it is a descriptor of a process", status: 1}, "", ""},

		{[]string{"put", sudo, "/srv/tree/1", "/srv/hosts"}, result{small + "/srv/hosts\n", "/srv/hosts was written in place: device or resource busy", 0}, "cat /srv/hosts /srv/below; ls -A /srv | grep mitosis", "one\none\n"},
		{[]string{"put", sudo, "/srv/big", "/srv/hosts"}, result{large + "/srv/hosts\n", "/srv/hosts was written in place: device or resource busy", 0}, "cmp /srv/hosts /srv/below; ls -A /srv | grep mitosis", ""},
		{[]string{"put", sudo, "/srv/big", "/srv/hosts"}, result{out: large + "/srv/hosts\n"}, "", ""}, // the same
		{[]string{"put", "-replace", sudo, "/srv/tree/1", "/srv/hosts"}, result{err: "/srv/hosts: device or resource busy", status: 1}, "cmp /srv/hosts /srv/below; ls -A /srv | grep mitosis", ""},
		{[]string{"put", sudo, "/srv/tree/1", "/srv/ro/mounted"}, result{small + "/srv/ro/mounted\n", "written in place: read-only file system", 0}, "cat /srv/ro/mounted", "one\n"},
		{[]string{"put", sudo, "/srv/big", "/srv/ro/mounted"}, result{large + "/srv/ro/mounted\n", "written in place: read-only file system", 0}, "wc -c </srv/ro/mounted; ls -A /srv/ro", fmt.Sprintln(len(content)) + "mounted\n"},

		{[]string{"put", o.path, "/srv/tree/1", "/srv/theirs/mine"}, result{small + "/srv/theirs/mine\n", "written in place: permission denied", 0}, show + "/srv/theirs/mine", "644 deploy:root 1\n"},
		{[]string{"put", o.path, "/srv/big", "/srv/theirs/mine"}, result{large + "/srv/theirs/mine\n", "written in place: permission denied", 0}, show + "/srv/theirs/mine", "644 deploy:root 1\n"},
		{[]string{"put", o.path, "/srv/big", "/srv/theirs/root's"}, result{err: "root's: permission denied\n", status: 1}, "cat /srv/theirs/root*", "old\n"},
		{[]string{"put", "-mode", "664", o.path, "/srv/big", "/srv/theirs/team"}, result{err: "team: permission denied; in place: operation not permitted\n", status: 1}, "cat /srv/theirs/team", "old\n"},
		{[]string{"put", "-times", o.path, "/srv/tree/1", "/srv/theirs/team"}, result{err: "team: permission denied; in place: operation not permitted\n", status: 1}, "cat /srv/theirs/team", "old\n"},
		{[]string{"put", o.path, "/srv/tree/1", "/srv/theirs/team"}, result{small + "/srv/theirs/team\n", "written in place: permission denied", 0}, show + "/srv/theirs/team", "660 root:deploy 1\n"},
		{[]string{"put", o.path, "/srv/big", "/srv/mine/team"}, result{large + "/srv/mine/team\n", "written in place: operation not permitted", 0}, show + "/srv/mine/team", "660 root:deploy 1\n"},
		{[]string{"put", "-replace", o.path, "/srv/tree/1", "/srv/mine/team"}, result{small + "/srv/mine/team\n", "could not keep its owner and group: operation not permitted", 0}, show + "/srv/mine/team", "660 deploy:deploy 1\n"},
		{[]string{"put", o.path, "/srv/tree/1", "/srv/mine/secret"}, result{small + "/srv/mine/secret\n", "could not keep its owner and group", 0}, show + "/srv/mine/secret", "600 deploy:deploy 1\n"},
		{[]string{"put", o.path, "/srv/big", "/srv/mine/listed"}, result{large + "/srv/mine/listed\n", "written in place", 0}, show + "/srv/mine/listed; getfacl -cp /srv/mine/listed | grep deploy", "660 root:root 1\nuser:deploy:rw-\n"},

		{[]string{"put", sudo, "/srv/tree/1", "/srv/secret"}, result{out: small + "/srv/secret\n"}, show + "/srv/secret; getfacl -cp /srv/secret | grep deploy; getfattr --absolute-names --only-values -n user.note /srv/secret", "640 root:app 1\nuser:deploy:r--\nkept"},
		{[]string{"put", "-mode", "600", sudo, "/srv/big", "/srv/secret"}, result{out: large + "/srv/secret\n"}, show + "/srv/secret", "600 root:app 1\n"},
		{[]string{"put", "-perm", sudo, "/srv/tree/1", "/srv/secret"}, result{out: small + "/srv/secret\n"}, show + "/srv/secret", "644 root:app 1\n"},
		{[]string{"put", "-owner", sudo, "/srv/big", "/srv/secret"}, result{out: large + "/srv/secret\n"}, show + "/srv/secret", "644 root:root 1\n"},
		{[]string{"put", "-inplace", sudo, "/srv/tree/1", "/srv/file"}, result{out: small + "/srv/file\n"}, "cat /srv/file", "one\n"},
	} {
		got := finish(t, o.command(t.Context(), c.args...))
		if got.out != c.want.out || got.status != c.want.status || !strings.Contains(got.err, c.want.err) || c.want.err == "" && got.err != "" {
			t.Errorf("%q: %+v, not %+v", c.args, got, c.want)
		}
		if out, err := o.web.Exec(t.Context(), "sh", "-c", c.host+"\ntrue"); err != nil || out != c.shows {
			t.Errorf("%q: afterwards %q, %v, not %q", c.args, out, err, c.shows)
		}
	}
}

// All bytes that are copied into a pipe come out of it, at either host. The standard output is a
// target like others.
func TestCopiesIntoPipes(t *testing.T) {
	t.Parallel()
	o := newOfficeOf(t, awkwardPlaces)
	content := o.sources(t)
	reader := o.web.Command(t.Context(), "cat", "/srv/pipe")
	var got bytes.Buffer
	reader.Stdout = &got
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%x %d /srv/pipe\n", sha256.Sum256(content), len(content))
	if res := finish(t, o.command(t.Context(), "put", o.path, "/srv/big", "/srv/pipe")); res.out != want || res.status != 0 {
		t.Errorf("the copy into the pipe ended with %+v, want %q", res, want)
	}
	if err := reader.Wait(); err != nil || !bytes.Equal(got.Bytes(), content) {
		t.Errorf("the reader of the pipe got %d bytes, error %v, want the %d of the file", got.Len(), err, len(content))
	}
	if res := finish(t, o.command(t.Context(), "put", o.path, "/srv/big", "/home/deploy/big")); res.status != 0 {
		t.Errorf("the copy ended with %+v, want status 0", res)
	}
	for _, to := range []string{"/proc/self/fd/1", "/dev/fd/1"} {
		line := fmt.Sprintf("%x %d %s\n", sha256.Sum256(content), len(content), to)
		if res := finish(t, o.command(t.Context(), "get", o.path, "/home/deploy/big", to)); res.out != string(content) || res.err != line || res.status != 0 {
			t.Errorf("get to %s: %d bytes, message %q, status %d, want the %d bytes of the file, %q and 0", to, len(res.out), res.err, res.status, len(content), line)
		}
	}
	cmd := o.command(t.Context(), "get", o.path, "/srv/file", "/proc/self/fd/1")
	tty, err := cmd.StartPty()
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	shown, _ := io.ReadAll(tty) // the end of a terminal is an error
	if err := cmd.Wait(); err != nil || !strings.HasPrefix(string(shown), "old\r\n") {
		t.Errorf("the terminal shows %q, %v, want old first", shown, err)
	}

	// The pipe has no reader: the copy waits, and a signal ends it.
	cmd = o.command(t.Context(), "put", o.path, "/srv/big", "/srv/pipe")
	var errOut journal
	cmd.Stderr = &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for deadline := time.Now().Add(patience); len(sessions(o.web)) == 0; {
		if time.Now().After(deadline) {
			t.Fatalf("after %v the copy has no session at the host", patience)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if status := shellStatus(t, err); status != 130 {
			t.Errorf("status %d after an interrupt, want 130: %s", status, &errOut)
		}
	case <-time.After(patience):
		t.Errorf("%v after an interrupt the copy still waits for the pipe, want it to end", patience)
		_ = cmd.Process.Kill()
	}
}

// In the library, a copy into a pipe that has no reader ends with its ctx, at the other host as
// well.
func TestAPipeIsGivenUpWithTheCopy(t *testing.T) {
	t.Parallel()
	key := lab.NewClientKey(t)
	host := awkwardPlaces
	host.Users = []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}, {Name: "app"}}
	host.SSHD = &lab.SSHD{}
	web := start(t, host)
	n := login(t, master(t, nil), web, "deploy", key)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		o := files.Options{Progress: func(files.Progress) { cancel() }} // the first block is on its way
		_, err := files.PutReader(ctx, n, bytes.NewReader(contentOf(4<<20)), "/srv/pipe", &o)
		done <- err
	}()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the copy ended with %v, want %v", err, context.Canceled)
	}
	// The pipe is free again: the next copy into it succeeds. The host may learn of the end of the
	// first one a little later, so that a reader lets it open the pipe once more, and finds nothing.
	ctx, cancel = context.WithTimeout(t.Context(), patience)
	defer cancel()
	reader := web.Command(ctx, "sh", "-c", `until test "$got"; do got=$(cat /srv/pipe); done; printf %s "$got"`)
	var got bytes.Buffer
	reader.Stdout = &got
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := files.PutReader(ctx, n, strings.NewReader("next"), "/srv/pipe", nil); err != nil {
		t.Error(err)
	}
	if err := reader.Wait(); err != nil || got.String() != "next" {
		t.Errorf("the reader of the pipe got %q, %v, want next", &got, err)
	}
}

// Names at the other host are resolved there, by the program and not by a shell.
func TestNamesThatTheOtherHostResolves(t *testing.T) {
	t.Parallel()
	o := newOfficeOf(t, lab.Host{
		Files: map[string]string{
			"/home/deploy/a.log": "a\n", "/home/deploy/b.log": "b\n", "/home/deploy/.c.log": "c\n", "/home/deploy/star*": "*\n", "/home/deploy/star2": "2\n",
			"/home/app/conf": "app\n", "/srv/app-1/keep": "", "/srv/x/$(touch gone)": "$\n", "/srv/one/two words": "2w\n", "/srv/x/a'b\"c;d": "q\n",
		},
		Setup: []string{"chmod 755 /home/app /home/deploy"},
	})
	o.sources(t)
	sum := func(content string) string {
		return fmt.Sprintf("%x %d ", sha256.Sum256([]byte(content)), len(content))
	}
	for _, c := range []struct {
		args  []string
		want  result
		shows string // of a shell command
		by    string
	}{
		{[]string{"get", o.path, "~/*.log", "/srv/logs/"}, result{out: sum("a\n") + "/srv/logs/a.log\n" + sum("b\n") + "/srv/logs/b.log\n"}, "a.log\nb.log\n", "desk:ls -A /srv/logs"},
		{[]string{"get", o.path, "~/*.log", "/srv/nodir"}, result{err: "2 files match ~/*.log: the target has to be a directory (write /srv/nodir/)", status: 1}, "", "desk:ls -d /srv/nodir 2>&1 | grep -v cannot"},
		{[]string{"get", o.path, "~/*.log", "~/none*", "~app/conf", "/srv/more"}, result{sum("a\n") + "/srv/more/a.log\n" + sum("b\n") + "/srv/more/b.log\n" + sum("app\n") + "/srv/more/conf\n", "~/none*: no file matches", 1}, "app\n", "desk:cat /srv/more/conf"},
		{[]string{"get", o.path, `star\*`, "/srv/deep/er/x"}, result{out: sum("*\n") + "/srv/deep/er/x\n"}, "*\n", "desk:cat /srv/deep/er/x"},
		{[]string{"get", o.path, "~/none", "/srv/gone/dir/x"}, result{err: "no file matches", status: 1}, "", "desk:ls -d /srv/gone 2>/dev/null"},
		{[]string{"get", o.path, "/srv/none", "/srv/gone/dir/x"}, result{err: "/srv/none: no such file", status: 1}, "", "desk:ls -d /srv/gone 2>/dev/null"},
		{[]string{"get", o.path, "/srv/x/*", "/srv/odd/"}, result{out: sum("$\n") + "/srv/odd/$(touch gone)\n" + sum("q\n") + "/srv/odd/a'b\"c;d\n"}, "$(touch gone)\na'b\"c;d\n", "desk:ls /srv/odd"},
		{[]string{"get", o.path, "/srv/one/two words", "."}, result{out: sum("2w\n") + "/two words\n"}, "", ""},
		{[]string{"get", o.path, "~nobody-here/x", "."}, result{err: `no file matches: there is no user "nobody-here"`, status: 1}, "", ""},
		{[]string{"get", o.path, "/root/*", "/srv/r/"}, result{err: "match /root/*: open /root/: permission denied", status: 1}, "", ""},
		{[]string{"put", o.path, "/srv/tree/1", "~"}, result{out: sum("one\n") + "/home/deploy/1\n"}, "one\n", "cat /home/deploy/1"},
		{[]string{"put", o.path, "/srv/tree/1", "~/new name"}, result{out: sum("one\n") + "/home/deploy/new name\n"}, "one\n", "cat '/home/deploy/new name'"},
		{[]string{"put", o.path + "/sudo", "/srv/tree/1", "~app/1"}, result{out: sum("one\n") + "/home/app/1\n"}, "one\n", "cat /home/app/1"},
		{[]string{"put", o.path + "/sudo", "/srv/tree/1", "~/1"}, result{out: sum("one\n") + "/root/1\n"}, "one\n", "cat /root/1"},
		{[]string{"put", o.path + "/sudo", "/srv/tree/1", "/srv/tree/sub/2", "/srv/app-*/"}, result{out: sum("one\n") + "/srv/app-1/1\n" + sum("two\n") + "/srv/app-1/2\n"}, "1\n2\nkeep\n", "ls /srv/app-1"},
		{[]string{"put", o.path, "/srv/tree/1", "~/*.log"}, result{err: "2 files match, and a target is one", status: 1}, "a\n", "cat /home/deploy/a.log"},
		{[]string{"put", o.path, "/srv/tree/1", "~/new*"}, result{out: sum("one\n") + "/home/deploy/new name\n"}, "", ""},
		{[]string{"put", o.path, "/srv/tree/1", "/srv/app-9*/x"}, result{err: "/srv/app-9*/x: no file matches", status: 1}, "", ""},
		{[]string{"put", o.path, "/srv/tree/1", `~/new\*`}, result{out: sum("one\n") + "/home/deploy/new*\n"}, "one\n", "cat '/home/deploy/new*'"},
	} {
		got := finish(t, o.command(t.Context(), c.args...))
		if got.out != c.want.out || got.status != c.want.status || !strings.Contains(got.err, c.want.err) || c.want.err == "" && got.err != "" {
			t.Errorf("%q: %+v, not %+v", c.args, got, c.want)
		}
		host, script := o.web, c.by
		if at, ok := strings.CutPrefix(script, "desk:"); ok {
			host, script = o.desk, at
		}
		if out, err := host.Exec(t.Context(), "sh", "-c", script+"\ntrue"); err != nil || out != c.shows {
			t.Errorf("%q: afterwards %q, %v, not %q", c.args, out, err, c.shows)
		}
	}
}
