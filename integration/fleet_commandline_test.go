//go:build linux

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// A floor is a desk at which somebody types commands, and hosts web1, web2 ... to which they go.
type floor struct {
	desk    *lab.Running
	webs    []*lab.Running
	program string
}

// newFloor makes one. The inventory of the desk has the hosts, and one, gone, that nobody answers for.
func newFloor(t *testing.T, hosts int) *floor {
	t.Helper()
	lab.Require(t)
	f := &floor{program: buildProgram(t)}
	key := lab.NewClientKey(t)
	inventory, known := "hosts:\n", ""
	for i := range hosts {
		web := lab.Start(t, lab.Host{
			Name: fmt.Sprintf("web%d", i+1), Users: []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}},
			SSHD: &lab.SSHD{}, Files: map[string]string{"/srv/name": fmt.Sprintf("I am web%d\n", i+1), "/srv/same": "the same\n"},
		})
		f.webs = append(f.webs, web)
		inventory += fmt.Sprintf("  web%d: {host: %s, user: deploy, port: %s}\n", i+1, web.IP(), web.Addr()[strings.LastIndexByte(web.Addr(), ':')+1:])
		known += web.KnownHosts()
	}
	inventory += fmt.Sprintf("  gone: {host: %s, port: 1}\ngroups:\n  web: web[1-%d]\n", f.webs[0].IP(), hosts)
	f.desk = lab.Start(t, lab.Host{
		Name: "desk", Binds: []string{f.program + ":ro"}, Env: map[string]string{"XDG_CACHE_HOME": nothingKept},
		Files: map[string]string{
			"/root/.ssh/id_ed25519": key.Private, "/root/.ssh/known_hosts": known,
			"/root/.config/mitosis/inventory.yaml": inventory,
		},
	})
	return f
}

func (f *floor) command(ctx context.Context, args ...string) *lab.Cmd {
	return f.desk.Command(ctx, append([]string{f.program}, args...)...)
}

// sorted returns the lines of a text in order: those of several hosts come as they come.
func sorted(text string) string {
	lines := slices.Sorted(strings.Lines(text))
	return strings.Join(lines, "")
}

// Several words and -w are several hosts, never a chain. What each of them prints has its name in front.
func TestSeveralHostsFromTheCommandLine(t *testing.T) {
	t.Parallel()
	f := newFloor(t, 3)
	scenes := []scene{look(f.webs[0]), look(f.webs[1]), look(f.webs[2])}
	for name, c := range map[string]struct {
		args  string // | is a space within a word
		stdin string
		want  result // out: its lines in order; err: parts of it, with & between
	}{
		"two words":       {"run web1 web2 -- cat /srv/name", "", result{"web1: I am web1\nweb2: I am web2\n", "mitosis: 2 hosts: 2 done", 0}},
		"a set":           {"run -w @web!web2 -- cat /srv/name", "", result{"web1: I am web1\nweb3: I am web3\n", "2 hosts: 2 done", 0}},
		"with spaces":     {"run -w web1|web2 -- cat /srv/name", "", result{"web1: I am web1\nweb2: I am web2\n", "", 0}},
		"one of a set":    {"run -w web[1-3] -x web[2-3] -- cat /srv/name", "", result{"web1: I am web1\n", "1 host: 1 done", 0}},
		"one word":        {"run web1 -- cat /srv/name", "", result{"I am web1\n", "", 0}},
		"the worst":       {"run -q -w @web -- sh -c exit|$(cut|-c9-|/srv/name)", "", result{"", "", 3}},
		"a signal":        {"run web1 web2 -- sh -c kill|-9|$$", "", result{"", "web[1-2] (2): ", 137}},
		"one is down":     {"run web1 gone -- cat /srv/same", "", result{"web1: the same\n", "gone (1): &connection refused&1 done, 1 failed&--retry-failed", 255}},
		"folded":          {"run -b -w @web -- cat /srv/same", "", result{"---------------\n---------------\nthe same\nweb[1-3] (3)\n", "3 done", 0}},
		"no end of line":  {"run web1 web2 -- printf x", "", result{"web1: x\nweb2: x\n", "", 0}},
		"no output":       {"run -b -w @web -- true", "", result{"", "3 done", 0}},
		"binary":          {`run web1 web2 -- printf \377\000\033[31m\r\n`, "", result{"web1: \xff\x00\x1b[31m\r\nweb2: \xff\x00\x1b[31m\r\n", "", 0}},
		"input":           {"run web1 web2 --batch 1 -- wc -c", strings.Repeat("x", 1<<20), result{"web1: 1048576\nweb2: 1048576\n", "", 0}},
		"no input":        {"run -n web1 web2 -- wc -c", "much", result{"web1: 0\nweb2: 0\n", "", 0}},
		"stop":            {"run gone web1 web2 --batch 1 --stop-at 1 -- cat /srv/name", "", result{"", "2 not tried&web[1-2] (2): not tried", 255}},
		"time":            {"run --timeout 1s web1 web2 -- sleep 86000", "", result{"", "--timeout, is over", 124}},
		"no program":      {"run web1 web2 -- no-such-program", "", result{"", "not found", 127}},
		"a terminal":      {"run -t web1 web2 -- true", "", result{"", "a terminal is for one host&usage: mitosis run", 2}},
		"twice":           {"run web1 web1 -- true", "", result{"", "web1 is given twice", 2}},
		"an empty set":    {"run -w @web!@web -- true", "", result{"", "the set of hosts is empty", 2}},
		"no such group":   {"run -w @none -- true", "", result{"", "no such group", 2}},
		"two meanings":    {"run web1,web2 -- true", "", result{"", "-w web1,web2&ssh:web1,web2", 2}},
		"two meanings, 2": {"put web1,web2 /etc/hosts /tmp/x", "", result{"", "-w web1,web2", 2}},
		"an old chain":    {"run web1 sudo -- true", "", result{"", "behind a slash", 2}},
		"forward":         {"forward web1 web2 -L 0:web:80", "", result{"", "forward takes one host", 2}},
		"lines":           {"shell web1 web2", "cat /srv/name\n\necho again\nexit\n", result{"web1: I am web1\nweb1: again\nweb2: I am web2\nweb2: again\n", "", 0}},
		"a dry run":       {"run -w @web --dry-run -- rm -rf /srv/a|b", "", result{sorted(fmt.Sprintf("web1:\n  ssh:deploy@%s\n  rm -rf '/srv/a b'\nweb2:\n  ssh:deploy@%s\n  rm -rf '/srv/a b'\nweb3:\n  ssh:deploy@%s\n  rm -rf '/srv/a b'\n", f.webs[0].IP(), f.webs[1].IP(), f.webs[2].IP())), "", 0}},
		"get":             {"get -w @web /srv/name /tmp/got/{host}/", "", result{"", "3 done", 0}},
		"get into one":    {"get -w @web /srv/name /tmp/one", "", result{"", "{host}", 2}},
		"put":             {"put -w @web /tmp/none /tmp/x", "", result{"", "web[1-3] (3): &no such file", 1}},
	} {
		var args []string
		for word := range strings.FieldsSeq(c.args) {
			args = append(args, strings.ReplaceAll(word, "|", " "))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		cmd := f.command(ctx, args...)
		cmd.Stdin = strings.NewReader(c.stdin)
		got := finish(t, cmd)
		if strings.HasPrefix(name, "get") && c.want.status == 0 {
			got.out = ""
		}
		if sorted(got.out) != sorted(c.want.out) || got.status != c.want.status {
			t.Errorf("%s: status %d, want %d, and\n%s, want\n%s\nand on standard error\n%s", name, got.status, c.want.status, got.out, c.want.out, got.err)
		}
		for part := range strings.SplitSeq(c.want.err, "&") {
			if !strings.Contains(got.err, part) {
				t.Errorf("%s: standard error has no %q:\n%s", name, part, got.err)
			}
		}
	}
	for i := range f.webs {
		if text, err := f.desk.Shell(fmt.Sprintf("cat /tmp/got/web%d/name", i+1)); err != nil || text != fmt.Sprintf("I am web%d\n", i+1) {
			t.Errorf("the copy of web%d is %q (%v)", i+1, text, err)
		}
	}
	if left, err := f.desk.Shell("ls /tmp | grep mitosis-; true"); err != nil || left != "" {
		t.Errorf("left at the desk: %s (%v)", left, err)
	}
	for _, s := range scenes {
		s.restored(t, deathBudget)
	}
}

// A run is known by its name until it has succeeded everywhere: what was done is not done again.
func TestRetryOfARunFromTheCommandLine(t *testing.T) {
	t.Parallel()
	f := newFloor(t, 2)
	const script = `echo tried >>/tmp/log; test -e /tmp/ready`
	if _, err := f.webs[0].Shell("touch /tmp/ready"); err != nil {
		t.Fatal(err)
	}
	first := finish(t, f.command(t.Context(), "run", "-w", "@web", "--", "sh", "-c", script))
	_, run, found := strings.Cut(strings.TrimSpace(first.err), "--retry-failed ")
	if first.status != 1 || !found {
		t.Fatalf("%+v; want status 1 and the name of the run", first)
	}
	if again := finish(t, f.command(t.Context(), "run", "--retry-failed", run)); again.status != 1 || !strings.Contains(again.err, "1 done, 1 failed") {
		t.Errorf("%+v; want the same failure once more", again)
	}
	if _, err := f.webs[1].Shell("touch /tmp/ready"); err != nil {
		t.Fatal(err)
	}
	last := finish(t, f.command(t.Context(), "run", "--retry-failed", run, "--json", "-f", "1"))
	for line := range strings.Lines(last.out) {
		var row struct {
			Host       string
			OK, Before bool
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil || !row.OK || row.Before != (row.Host == "web1") {
			t.Errorf("a line of JSON is %q (%v); want both hosts ok, and web1 from before", line, err)
		}
	}
	if last.status != 0 || strings.Count(last.out, "\n") != 2 {
		t.Errorf("%+v; want success and two lines of JSON", last)
	}
	for i, want := range []int{1, 3} {
		if log, err := f.webs[i].Shell("cat /tmp/log"); err != nil || strings.Count(log, "tried") != want {
			t.Errorf("web%d was tried %d times (%v), want %d", i+1, strings.Count(log, "tried"), err, want)
		}
	}
	if over := finish(t, f.command(t.Context(), "run", "--retry-failed", run)); over.status != 2 || !strings.Contains(over.err, "there is no run") {
		t.Errorf("a run with nothing to try again: %+v, want status 2", over)
	}
}

// A terminal shows the controls that a host prints and does not obey them, and a bar while it takes.
// The first Ctrl-C ends what runs and tells of it, the second ends all at once.
func TestSeveralHostsAtATerminal(t *testing.T) {
	t.Parallel()
	f := newFloor(t, 2)
	s := sit(t, f.command(t.Context(), "run", "web1", "web2", "--", "sh", "-c", `printf 'a\033[2Jb\n'; exec sleep 86000`))
	if err := pty.Setsize(s.terminal, &pty.Winsize{Rows: 24, Cols: 100}); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "both lines and the bar", func() bool {
		shown := s.shown.String()
		return strings.Count(shown, `a\x1b[2Jb`) == 2 && strings.Contains(shown, "0 of 2 done, 0 failed, 2 running")
	})
	if _, err := s.terminal.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	status, shown := s.end()
	if status != 128+int(unix.SIGINT) || !strings.Contains(shown, "2 hosts: 0 done, 2 failed") || strings.Contains(shown, "\x1b[2J") {
		t.Errorf("status %d, want 130 and a summary:\n%q", status, shown)
	}
	s = sit(t, f.command(t.Context(), "run", "web1", "web2", "--", "sh", "-c", `trap '' TERM; echo ready; while :; do sleep 86000; done`))
	for i, text := range []string{": ready", "once more ends all at once"} {
		eventually(t, patience, text, func() bool { return strings.Count(s.shown.String(), text) >= 2-i })
		if _, err := s.terminal.WriteString("\x03"); err != nil {
			t.Fatal(err)
		}
	}
	if status, shown := s.end(); status != 128+int(unix.SIGINT) || strings.Contains(shown, "2 hosts:") {
		t.Errorf("status %d, want 130 at once, without a summary:\n%q", status, shown)
	}
}

// SIGQUIT shows where a command hangs, as for any Go program.
func TestQuitShowsStacks(t *testing.T) {
	t.Parallel()
	f := newFloor(t, 1)
	var out journal
	cmd := f.command(t.Context(), "run", "-w", "web1", "--", "sh", "-c", "echo ready; exec sleep 86000")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the command runs", func() bool { return strings.Contains(out.String(), "ready") })
	if err := cmd.Process.Signal(unix.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	if status := shellStatus(t, cmd.Wait()); status != 128+int(unix.SIGQUIT) || !strings.Contains(out.String(), "goroutine ") {
		t.Errorf("status %d, want 131 and the goroutines:\n%s", status, out.String())
	}
}

// A key that is not known is asked about at a terminal, and accepted without one only by --accept-new. The
// options of ssh are for all hops.
func TestOptionsOfSSHFromTheCommandLine(t *testing.T) {
	t.Parallel()
	f := newFloor(t, 1)
	if _, err := f.desk.Shell("mv /root/.ssh/known_hosts /root/known; mv /root/.ssh/id_ed25519 /root/key"); err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(f.webs[0].Addr(), ":")
	options := []string{"-i", "/root/key", "-l", "deploy", "-p", port, "-o", "UserKnownHostsFile=/root/mine"}
	run := func(more ...string) []string {
		return slices.Concat([]string{"run"}, options, more, []string{host, "--", "id", "-un"})
	}
	if r := finish(t, f.command(t.Context(), run()...)); r.status != 255 || !strings.Contains(r.err, "--accept-new") {
		t.Errorf("an unknown key without a terminal: %+v, want advice to give --accept-new", r)
	}
	s := sit(t, f.command(t.Context(), run()...))
	eventually(t, patience, "the question", func() bool { return strings.Contains(s.shown.String(), "yes/no/fingerprint") })
	if _, err := s.terminal.WriteString("no\n"); err != nil {
		t.Fatal(err)
	}
	if status, shown := s.end(); status != 255 || !strings.Contains(shown, "SHA256:") {
		t.Errorf("a key that is not accepted: status %d, want 255:\n%s", status, shown)
	}
	if r := finish(t, f.command(t.Context(), run("--accept-new")...)); r.out != "deploy\n" || r.status != 0 {
		t.Errorf("--accept-new: %+v", r)
	}
	if r := finish(t, f.command(t.Context(), run()...)); r.out != "deploy\n" || r.status != 0 {
		t.Errorf("a key that was accepted before: %+v", r)
	}
	if r := finish(t, f.command(t.Context(), run("-o", "NoSuchKeyword=x")...)); r.status != 2 || !strings.Contains(strings.ToLower(r.err), "nosuchkeyword") {
		t.Errorf("an unknown keyword: %+v, want status 2", r)
	}
}

// A password that a file has is for the first question only. Without one and without a terminal, the
// error says what to do.
func TestPasswordFromAFile(t *testing.T) {
	t.Parallel()
	f := newFloor(t, 1)
	if _, err := f.webs[0].Shell("useradd -m app; echo app:typed | chpasswd"); err != nil {
		t.Fatal(err)
	}
	script := `printf 'typed\nrest\n' >/tmp/right; echo wrong >/tmp/wrong; printf '#!/bin/sh\necho typed\n' >/tmp/askpass; chmod +x /tmp/askpass`
	if _, err := f.desk.Shell(script); err != nil {
		t.Fatal(err)
	}
	const program = `"$1" run $3 "ssh:app@$2" -- id -un`
	for name, c := range map[string]struct {
		options, env string
		want         result
	}{
		"a file":      {"--password-from /tmp/right", "", result{"app\n", "", 0}},
		"the wrong":   {"--password-from /tmp/wrong", "", result{"", "the password from /tmp/wrong is wrong", 255}},
		"a missing":   {"--password-from /tmp/none", "", result{"", "/tmp/none: no such file", 255}},
		"descriptor":  {"--password-from 5", "", result{"app\n", "", 0}},
		"a program":   {"", "SSH_ASKPASS=/tmp/askpass SSH_ASKPASS_REQUIRE=force", result{"app\n", "", 0}},
		"nothing":     {"", "", result{"", "--password-from FILE", 255}},
		"no displays": {"", "SSH_ASKPASS=/tmp/askpass", result{"", "--password-from FILE", 255}},
	} {
		got := finish(t, f.desk.Command(t.Context(), "sh", "-c", "export MITOSIS_LOG=error "+c.env+"; exec setsid -w sh -c '"+program+"' sh \"$@\" 5</tmp/right",
			"sh", f.program, f.webs[0].Addr(), c.options))
		if got.out != c.want.out || got.status != c.want.status || !strings.Contains(got.err, c.want.err) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
