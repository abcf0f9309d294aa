package fakessh

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strings"
	"testing"
)

// commandLines are the arguments of more than 300 calls of ssh, one a line, with tabs
// between them.
func commandLines(t testing.TB) [][]string {
	t.Helper()
	b, err := os.ReadFile("testdata/commandlines")
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		var args []string
		if line != "" {
			args = strings.Split(line, "\t")
		}
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], `\t`, "\t")
		}
		all = append(all, args)
	}
	return all
}

// TestLineIsReadAsBySSH holds the parser against the real program, which says
// with -G what it has understood.
func TestLineIsReadAsBySSH(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("there is no ssh to compare with")
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	all := commandLines(t)
	different, refused := make(map[string]bool), 0
	for _, args := range all {
		different[strings.Join(args, "\x00")] = true
	}
	if len(different) < 300 {
		t.Errorf("only %d different command lines", len(different))
	}
	for _, args := range all {
		// -F none keeps this machine's configuration out of it.
		out, err := exec.Command("ssh", append([]string{"-G", "-F", "none"}, args...)...).Output()
		line, lineErr := ParseCommandLine(append([]string{"-G"}, args...))
		path := ""
		if lineErr == nil {
			path, lineErr = line.controlPath(tokensOf(os.LookupEnv))
		}
		if (err == nil) != (lineErr == nil) {
			t.Errorf("%q: ssh: %v %s, we: %v", args, err, stderrOf(err), lineErr)
			continue
		}
		if err != nil {
			refused++
			continue
		}
		theirs, ours := configured(string(out)), configured(line.config(me.Username, path))
		if strings.Contains(strings.Join(args, " "), "HostName") {
			// It changes what is connected to, which is decided elsewhere here.
			isName := func(s string) bool { return strings.HasPrefix(s, "hostname ") }
			theirs, ours = slices.DeleteFunc(theirs, isName), slices.DeleteFunc(ours, isName)
		}
		if !slices.Equal(theirs, ours) {
			t.Errorf("%q:\nssh: %q\nwe:  %q", args, theirs, ours)
		}
	}
	t.Logf("%d command lines, of which ssh refuses %d", len(different), refused)
}

func stderrOf(err error) string {
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(e.Stderr)
	}
	return ""
}

// configured takes out of what -G prints the lines that we print as well.
func configured(out string) []string {
	var lines []string
	for line := range strings.Lines(out) {
		key, _, _ := strings.Cut(line, " ")
		switch key {
		case "user", "port", "requesttty", "sessiontype", "stdinnull", "forkafterauthentication", "loglevel",
			"exitonforwardfailure", "gatewayports", "clearallforwardings", "localforward", "remoteforward",
			"addressfamily", "streamlocalbindmask", "streamlocalbindunlink", "controlmaster", "controlpath", "controlpersist",
			"dynamicforward", "setenv", "sendenv", "remotecommand", "hostname", "forwardagent":
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	slices.Sort(lines)
	return lines
}

func TestCommandAndDestination(t *testing.T) {
	for _, c := range []struct {
		args                string
		user, host, command string
		port                int
	}{
		{"h", "", "h", "", 0},
		{"h ls -l", "", "h", "ls -l", 0},
		{"h -l u ls -l x", "u", "h", "ls -l x", 0},
		{"-p 5 u@h -- -v x", "u", "h", "-v x", 5},
		{"-- h -v", "", "h", "-v", 0},
		{"-l -- h -v", "--", "h", "-v", 0}, // as ssh does it
		{"a@b@c x", "a@b", "c", "x", 0},
		{"ssh://a%20b@[::1]:7 x", "a b", "::1", "x", 7},
		{"-oUser=x y@h", "x", "h", "", 0},
	} {
		l, err := ParseCommandLine(strings.Fields(c.args))
		if err != nil {
			t.Errorf("%s: %v, want no error", c.args, err)
			continue
		}
		if l.User != c.user || l.Host != c.host || l.Command != c.command || l.Port != c.port {
			t.Errorf("%s: user %q, host %q, port %d, command %q", c.args, l.User, l.Host, l.Port, l.Command)
		}
	}
	if _, err := ParseCommandLine([]string{"-oRemoteCommand=a", "h", "b"}); err == nil {
		t.Error("two commands were taken")
	}
}

func TestStdio(t *testing.T) {
	l, err := ParseCommandLine([]string{"-W", "[::1]:22", "h"})
	if err != nil || l.Stdio == nil || l.Stdio.TargetHost != "::1" || l.Stdio.TargetPort != 22 || l.Session != SessionNone {
		t.Errorf("-W is read as %+v (error: %v), want ::1 and 22 and no session", l, err)
	}
}

func TestImmediateActions(t *testing.T) {
	for args, want := range map[string]Action{
		"-V": Version, "-vV -z": Version, "-Q cipher": Query, "-O check h": Control, "-G h": Configure,
	} {
		if l, err := ParseCommandLine(strings.Fields(args)); err != nil || l.Action != want {
			t.Errorf("%s is read as %+v (error: %v), want the action %v", args, l, err, want)
		}
	}
}

// Every letter and every keyword is in the table that users read.
func TestTheTableIsComplete(t *testing.T) {
	b, err := os.ReadFile("../docs/fakessh.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	for c, o := range options {
		// The first column has the letter, and the second what is made of it.
		if !strings.Contains(doc, fmt.Sprintf("`-%c", c)) {
			t.Errorf("-%c is not in docs/fakessh.md", c)
		}
		ignored := strings.Contains(doc, fmt.Sprintf("`-%c` | ignored", c)) || strings.Contains(doc, fmt.Sprintf("`-%c` *value* | ignored", c))
		if ignored != (o.do == nil) && c != 'e' && c != 'J' {
			t.Errorf("-%c: the table says ignored: %v; the parser has it otherwise", c, ignored)
		}
	}
	for name := range keywords {
		if !strings.Contains(strings.ToLower(doc), "`"+name+"`") {
			t.Errorf("the keyword %s is not in docs/fakessh.md", name)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	for _, args := range commandLines(f) {
		f.Add(strings.Join(args, "\x00"))
	}
	f.Fuzz(func(t *testing.T, joined string) {
		args := strings.Split(joined, "\x00")
		l, err := ParseCommandLine(args)
		if err != nil {
			if _, ok := errors.AsType[*UsageError](err); !ok || err.Error() == "" {
				t.Fatalf("error %#v, want a UsageError with a text", err)
			}
			return
		}
		if l.immediate() {
			return
		}
		if l.Host == "" || l.Port < 0 || l.Port > 65535 {
			t.Fatalf("read as %+v, want a host and a port of 16 bits", l)
		}
		for _, fw := range slices.Concat(l.Local, l.Remote, l.Dynamic) {
			if fw.ListenPort < 0 || fw.TargetPort < 0 || cmp.Or(fw.ListenPort, fw.TargetPort) > 65535 {
				t.Fatalf("a forwarding is read as %+v, want ports of 16 bits", fw)
			}
		}
		path, _ := l.controlPath(pathTokens{lookup: os.LookupEnv, homeOf: func(string) (string, error) { return "", os.ErrNotExist }})
		_ = l.config("me", path)
	})
}
