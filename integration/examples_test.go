//go:build linux

package integration

import (
	"regexp"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// Examples that log in to other hosts run on hosts of the lab, built as a user builds them and
// at a terminal. The tests beside the other examples run those.

// desk makes a host with a user called me, who has an example, a key and the host
// keys of others. The returned function prepares the example to be run there.
func desk(t *testing.T, example string, key lab.ClientKey, others ...*lab.Running) (*lab.Running, func(args ...string) *lab.Cmd) {
	t.Helper()
	var known strings.Builder
	for _, h := range others {
		known.WriteString(h.KnownHosts())
	}
	const home = "/home/me/"
	host := start(t, lab.Host{
		Name: "desk", Users: []lab.User{{Name: "me"}},
		Env:   map[string]string{"XDG_CACHE_HOME": nothingKept},
		Binds: []string{buildExample(t, example) + ":/opt/" + example + ":ro"},
		Files: map[string]string{home + "key": key.Private, home + "known_hosts": known.String()},
	})
	login := []string{"/opt/" + example, "-identity", home + "key", "-known-hosts", home + "known_hosts"}
	return host, func(args ...string) *lab.Cmd {
		return host.CommandAs(t.Context(), "me", append(login, args...)...)
	}
}

// shows checks that a text has a line for each of the patterns.
func shows(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile("(?m)^" + p + `\r?$`).MatchString(text) {
			t.Errorf("the example printed %q, want a line that matches %q", text, p)
		}
	}
}

func TestExampleChain(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	key := lab.NewClientKey(t)
	const password = "open sesame"
	web := start(t, lab.Host{
		Name:    "web1",
		Users:   []lab.User{{Name: "deploy", Password: password, Keys: []string{key.Authorized}}},
		Sudoers: "Defaults requiretty\ndeploy ALL=(ALL) ALL",
		SSHD:    &lab.SSHD{},
		Files:   map[string]string{"/root/secret": "one\ntwo\nthree\n"},
		Setup:   []string{"chmod 700 /root"},
	})
	host, chain := desk(t, "chain", key, web)
	before, atDesk := look(web), look(host)
	args := []string{"-host", web.IP(), "-user", "deploy", "-file", "/root/secret"}
	ssh := "ssh:deploy@" + web.IP()
	done := []string{
		regexp.QuoteMeta(ssh) + `: uid 2000, pid \d+ on web1`,
		regexp.QuoteMeta(ssh) + `/sudo:root: uid 0, pid \d+ on web1`,
		regexp.QuoteMeta(ssh) + `/sudo:root/local: uid 0, pid \d+ on web1`,
		regexp.QuoteMeta(ssh) + ` may not read /root/secret`,
		regexp.QuoteMeta(ssh) + `/sudo:root/local reads 3 lines of /root/secret`,
	}
	question := ssh + "/sudo:root: [sudo] password for deploy: "
	nothingLeft := func(t *testing.T) {
		before.restored(t, deathBudget)
		atDesk.restored(t, deathBudget)
	}

	t.Run("at a terminal", func(t *testing.T) {
		s := sit(t, chain(args...))
		s.answer(t, question, password+"\n")
		code, text := s.end()
		if code != 0 {
			t.Errorf("the exit status is %d, want 0", code)
		}
		shows(t, text, done...)
		withholds(t, password, text)
		nothingLeft(t)
	})
	t.Run("with the answer in a pipe", func(t *testing.T) {
		cmd := chain(append(args, "-become", "root")...)
		cmd.Stdin = strings.NewReader(password + "\n")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("the example ended with %v, want no error: %s", err, out)
		}
		shows(t, string(out), done...)
		nothingLeft(t)
	})
	t.Run("with a wrong answer first", func(t *testing.T) {
		s := sit(t, chain(args...))
		s.answer(t, question, "sesame\n")
		s.answer(t, question, password+"\n")
		code, text := s.end()
		if code != 0 {
			t.Errorf("the exit status is %d, want 0", code)
		}
		shows(t, text, append(done, "that was wrong")...)
		nothingLeft(t)
	})
	t.Run("with wrong answers", func(t *testing.T) {
		s := sit(t, chain(args...))
		for range 3 {
			s.answer(t, question, "sesame\n")
		}
		code, text := s.end()
		if code != 1 {
			t.Errorf("the exit status after wrong passwords is %d, want 1", code)
		}
		shows(t, text, "that was not the password: .*"+regexp.QuoteMeta(connect.ErrPassword.Error())+".*")
		nothingLeft(t)
	})
	t.Run("with Ctrl-C as the answer", func(t *testing.T) {
		s := sit(t, chain(args...))
		s.answer(t, question, "sesa\x03")
		code, text := s.end()
		if code != 1 {
			t.Errorf("the exit status after an interrupt is %d, want 1", code)
		}
		shows(t, text, ".*: interrupt signal received")
		if !s.echoes(t) {
			t.Error("after the interrupt the terminal does not echo, want its echo restored")
		}
		nothingLeft(t)
	})
	t.Run("to an unknown host", func(t *testing.T) {
		cmd := chain("-host", host.IP(), "-user", "deploy")
		out, err := cmd.CombinedOutput()
		if err == nil {
			t.Error("the example without a password ended with status 0, want a failure")
		}
		shows(t, string(out), "connect ssh:deploy@"+regexp.QuoteMeta(host.IP())+": .*connection refused")
		nothingLeft(t)
	})
}

func TestExampleRepair(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	key := lab.NewClientKey(t)
	const file = "/etc/app/app.conf"
	web := start(t, lab.Host{
		Name:         "web1",
		Users:        []lab.User{{Name: "app"}, {Name: "root", Keys: []string{key.Authorized}}},
		SSHD:         &lab.SSHD{Config: []string{"PermitRootLogin yes"}},
		Remove:       []string{"python3", "perl"},
		ReadOnlyRoot: true,
		Files:        map[string]string{file: "mode = broken\n# broken too\n"},
		Setup: []string{
			"chown app:app " + file + " && chmod 640 " + file,
			"mount -o remount,size=64k /tmp && ! dd if=/dev/zero of=/tmp/full bs=4k 2>/dev/null",
		},
	})
	host, repair := desk(t, "repair", key, web)
	before, atDesk := look(web), look(host)
	attributes, err := web.Shell("stat -c '%U %G %a' " + file)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-host", web.IP(), "-file", file, "-old", "broken", "-new", "mended"}

	out, err := repair(args...).CombinedOutput()
	if err != nil {
		t.Errorf("repair ended with %v, want no error: %s", err, out)
	}
	shows(t, string(out),
		"attached: ssh:root@"+regexp.QuoteMeta(web.IP()),
		`read-only: \[.*/.*\]`, `full: \[/tmp\]`, `missing: \[python3 perl\]`, `running from: .*\(deleted\)`,
		"remounted writable: /", "mended "+file+" in 2 places", "verified", "remounted read-only: /")
	before.restored(t, deathBudget, file)
	now, err := web.Shell("cat " + file + " && stat -c '%U %G %a' " + file)
	if want := "mode = mended\n# mended too\n" + attributes; err != nil || now != want {
		t.Errorf("%s has %q, error %v, want %q", file, now, err, want)
	}
	if out, err := web.Shell("touch /etc/app/x"); err == nil || !strings.Contains(out, "Read-only file system") {
		t.Errorf("writing to the root file system after the repair: %s, %v, want it read-only again", out, err)
	}

	// Damage that can't be repaired is an error. The root is read-only again even then.
	mended := look(web)
	out, err = repair(append(args, "-file", "/etc/app/other.conf")...).CombinedOutput()
	if err == nil {
		t.Error("the repair of a file that does not exist ended with status 0, want a failure")
	}
	shows(t, string(out), "remounted read-only: /", ".*/etc/app/other.conf: no such file or directory")
	mended.restored(t, deathBudget)
	atDesk.restored(t, deathBudget)
}
