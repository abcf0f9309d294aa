//go:build linux

package become

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

func TestSudoDialogue(t *testing.T) {
	const right = connecttest.StubPassword
	for _, c := range []struct {
		stub     string
		password connect.Secret
		answers  []string // nil: nobody to ask
		want     error    // nil: it works
		text     string   // in the error
	}{
		{stub: "noask"},
		{stub: "noask", password: right},
		{stub: "ask", password: right},
		{stub: "ask", want: connect.ErrPasswordRequired},
		{stub: "ask", password: "wrong", want: connect.ErrPassword, text: "Désolé"},
		{stub: "ask,once", password: "wrong", want: connect.ErrPermission, text: "incorrectes"}, // French is not understood
		{stub: "ask", answers: []string{right}},
		{stub: "ask", answers: []string{"no", "nor", right}},
		{stub: "ask", answers: []string{"no", "nor", "neither"}, want: connect.ErrPassword, text: "incorrectes"},
		{stub: "ask", answers: []string{"no"}, want: connect.ErrPasswordRequired, text: "nobody is at home"},
		{stub: "ask", password: "wrong", answers: []string{right}, want: connect.ErrPassword},
		{stub: "pwfeedback", password: right},
		{stub: "pwfeedback", password: "wrong", want: connect.ErrPassword},
		{stub: "banner", password: right},
		{stub: "banner", want: connect.ErrPasswordRequired},
		{stub: "banner,noask", password: right},
		{stub: "printfirst", password: right},
		{stub: "rs", password: right},
		{stub: "oldrs", password: right},
		{stub: "colour", password: right},
		{stub: "translated", answers: []string{right}}, // PAM's words, not ours
		{stub: "translated", password: right},
		{stub: "translated", want: connect.ErrPasswordRequired, text: "Mot de passe"},
		{stub: "odd", answers: []string{right}},
		{stub: "odd", want: connect.ErrPasswordRequired, text: "Say friend"},
		{stub: "otp", password: right, answers: []string{"123456"}},
		{stub: "otp", password: right, want: connect.ErrPasswordRequired, text: "Verification code"},
		{stub: "challenge", password: right, answers: []string{"1174"}},
		{stub: "deny", password: right, want: connect.ErrPermission, text: "sudoers"},
		{stub: "fail", password: right, want: connect.ErrPermission, text: "the password was ***"},
		{stub: "ask", password: "two\nlines", want: connect.ErrPassword},
	} {
		name := fmt.Sprintf("%s/%q/%q", c.stub, tool.Reveal(c.password), c.answers)
		t.Run(name, func(t *testing.T) {
			connecttest.CheckLeaks(t)
			p := connecttest.Far(`echo "it works"; exec cat`)
			someone := &connecttest.Person{Answers: c.answers}
			if c.answers != nil {
				p.Prompt = someone.Answer
			}
			started := time.Now()
			ch := connecttest.Open(t, Sudo{Path: connecttest.StubAs(t, c.stub), Password: c.password}, p)
			head := make([]byte, len("it works\n"))
			_, err := io.ReadFull(ch, head)
			if c.want == nil {
				if err != nil {
					t.Fatalf("the far side prints %q (error: %v, cause: %v), want no error", head, err, connecttest.Cause(t, ch))
				}
				close(p.Ready)
				if _, err := ch.Write([]byte("\x00\x03\x04\xff")); err != nil {
					t.Fatal(err)
				}
				b := make([]byte, 4)
				if _, err := io.ReadFull(ch, b); err != nil || string(b) != "\x00\x03\x04\xff" {
					t.Errorf("the pipe carried %q, %v", b, err)
				}
			} else {
				err := connecttest.Cause(t, ch)
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
					t.Errorf("cause: %v", err)
				}
				if strings.Contains(err.Error(), "mitosis-") && c.stub != "banner" {
					t.Errorf("the token shows: %v", err)
				}
				for _, other := range []error{connect.ErrPassword, connect.ErrPasswordRequired, connect.ErrPermission} {
					if other != c.want && errors.Is(err, other) {
						t.Errorf("%v is also %v", err, other)
					}
				}
				for _, secret := range append(c.answers, tool.Reveal(c.password)) {
					if len(secret) > 2 && strings.Contains(err.Error(), secret) && secret != "wrong" {
						t.Errorf("the password shows: %v", err)
					}
				}
			}
			if strings.Contains(p.Logged(), connecttest.StubPassword) {
				t.Errorf("the password is in the log: %s", p.Logged())
			}
			if d := time.Since(started); d > 4*time.Second {
				t.Errorf("it took %v", d)
			}
			for i, q := range someone.Asked {
				if q.Path != "sudo:root" || q.Text == "" || strings.Contains(q.Text, "mitosis-") || q.Echo {
					t.Errorf("prompt %d: %+v", i, q)
				}
				if c.stub == "ask" && (q.Kind != connect.PromptPassword || q.Attempt != i+1 || q.Text != "[sudo] password for alice:") {
					t.Errorf("prompt %d: %+v", i, q)
				}
				if c.stub == "challenge" && !strings.Contains(q.Text, "4711") {
					t.Errorf("prompt %d: %+v", i, q)
				}
			}
		})
	}
}

// While the password is asked for, and while it is checked, Close works.
func TestSudoClosedWhileItAsks(t *testing.T) {
	for _, stub := range []string{"ask", "hang", "ask,otp"} {
		connecttest.CheckLeaks(t)
		p := connecttest.Far(`true`)
		asked := make(chan struct{}, 3)
		p.Prompt = func(ctx context.Context, _ connect.Prompt) (string, error) {
			asked <- struct{}{}
			<-ctx.Done()
			return "", ctx.Err()
		}
		c := connecttest.Open(t, Sudo{Path: connecttest.StubAs(t, stub)}, p)
		<-asked
		connecttest.CloseInTime(t, c)
	}
}

func TestSudoArguments(t *testing.T) {
	e := connecttest.Far(`x`).OpenRequest
	for _, c := range []struct {
		m    Sudo
		want string
	}{
		{Sudo{}, "-u root -- /bin/sh -c unset SUDO_PROMPT;x"},
		{Sudo{User: "app", PreserveEnv: true, SetHome: true, Group: "#12"}, "-u app -E -H -g #12 -- /bin/sh -c unset SUDO_PROMPT;x"},
		{Sudo{User: "#1000", Login: true, Role: "sysadm_r", Type: "sysadm_t"}, "-u #1000 -i -r sysadm_r -t sysadm_t -- /bin/sh -c eval \"`printf %b 'unset SUDO_PROMPT;x'`\""},
		{Sudo{KeepEnv: []string{"A", "B"}}, "-u root --preserve-env=A,B -- /bin/sh -c unset SUDO_PROMPT;x"},
	} {
		if err := c.m.check(); err != nil {
			t.Error(err)
		}
		args := append(c.m.flags(), c.m.stage(tool.WithBeginning(e, dropPrompt))...)
		if got := strings.Join(args, " "); got != c.want {
			t.Errorf("%+v runs sudo %s, want %s", c.m, got, c.want)
		}
	}
	for _, bad := range []Sudo{{User: "-s"}, {User: "a b"}, {User: "#x"}, {User: "a\x00"}, {Group: "-x"}, {Role: "-r"}, {Type: "a;b"}, {KeepEnv: []string{"A=1"}},
		{KeepEnv: []string{"A,B"}}, {Login: true, PreserveEnv: true}} {
		if _, err := bad.Open(t.Context(), e); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

// A script comes out of every login shell as it went in, though sudo leaves
// dollar signs to that shell.
func TestSudoLoginShells(t *testing.T) {
	scripts := []string{
		`printf "%s\n" "a  b" 'c' "$(echo "\$x")" ` + "`echo y`" + ` \\n '!' "$#" | tr a-z A-Z; echo é "\0101" %d`,
		"x='a\nb'; echo \"$x\" # comment",
	}
	dir := t.TempDir()
	for _, shell := range []string{"sh", "dash", "bash", "zsh", "tcsh", "csh", "fish", "ksh", "mksh", "busybox"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("%s is not installed", shell)
			continue
		}
		if shell == "busybox" {
			path = filepath.Join(dir, "ash")
			os.Symlink(must(exec.LookPath("busybox")), path)
		}
		for _, script := range scripts {
			want, err := exec.Command("/bin/sh", "-c", script).Output()
			if err != nil {
				t.Fatal(err)
			}
			args := (Sudo{Login: true}).stage(connecttest.Far(script).OpenRequest)
			got, err := exec.Command(path, "-c", sudoJoins(args)).CombinedOutput()
			if err != nil || string(got) != string(want) {
				t.Errorf("%s: %q in place of %q, %v", shell, got, want, err)
			}
		}
	}
}

func must(s string, err error) string {
	if err != nil {
		panic(err)
	}
	return s
}

// sudoJoins does what sudo -i does to its arguments (parse_args.c).
func sudoJoins(args []string) string {
	var b strings.Builder
	for i, arg := range args {
		if i > 0 {
			b.WriteByte(' ')
		}
		for _, c := range []byte(arg) {
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '$') {
				b.WriteByte('\\')
			}
			b.WriteByte(c)
		}
	}
	return b.String()
}
