//go:build linux

package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// person answers prompts and remembers them.
type person struct {
	mu      sync.Mutex
	answers []string
	asked   []Prompt
}

func (p *person) answer(_ context.Context, q Prompt) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, q)
	if len(p.asked) > len(p.answers) {
		return "", errors.New("nobody is at home")
	}
	return p.answers[len(p.asked)-1], nil
}

func TestSudoDialogue(t *testing.T) {
	const right = stubPassword
	for _, c := range []struct {
		stub     string
		password Secret
		answers  []string // nil: nobody to ask
		want     error    // nil: it works
		text     string   // in the error
	}{
		{stub: "noask"},
		{stub: "noask", password: right},
		{stub: "ask", password: right},
		{stub: "ask", want: ErrPasswordRequired},
		{stub: "ask", password: "wrong", want: ErrPassword, text: "Désolé"},
		{stub: "ask,once", password: "wrong", want: ErrPermission, text: "incorrectes"}, // French is not understood
		{stub: "ask", answers: []string{right}},
		{stub: "ask", answers: []string{"no", "nor", right}},
		{stub: "ask", answers: []string{"no", "nor", "neither"}, want: ErrPassword, text: "incorrectes"},
		{stub: "ask", answers: []string{"no"}, want: ErrPasswordRequired, text: "nobody is at home"},
		{stub: "ask", password: "wrong", answers: []string{right}, want: ErrPassword},
		{stub: "pwfeedback", password: right},
		{stub: "pwfeedback", password: "wrong", want: ErrPassword},
		{stub: "banner", password: right},
		{stub: "banner", want: ErrPasswordRequired},
		{stub: "banner,noask", password: right},
		{stub: "printfirst", password: right},
		{stub: "rs", password: right},
		{stub: "oldrs", password: right},
		{stub: "colour", password: right},
		{stub: "translated", answers: []string{right}}, // PAM's words, not ours
		{stub: "translated", password: right},
		{stub: "translated", want: ErrPasswordRequired, text: "Mot de passe"},
		{stub: "odd", answers: []string{right}},
		{stub: "odd", want: ErrPasswordRequired, text: "Say friend"},
		{stub: "otp", password: right, answers: []string{"123456"}},
		{stub: "otp", password: right, want: ErrPasswordRequired, text: "Verification code"},
		{stub: "challenge", password: right, answers: []string{"1174"}},
		{stub: "deny", password: right, want: ErrPermission, text: "sudoers"},
		{stub: "fail", password: right, want: ErrPermission, text: "the password was ***"},
		{stub: "ask", password: "two\nlines", want: ErrPassword},
	} {
		name := fmt.Sprintf("%s/%q/%q", c.stub, c.password.reveal(), c.answers)
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			p := far(`echo "it works"; exec cat`)
			someone := &person{answers: c.answers}
			if c.answers != nil {
				p.Prompt = someone.answer
			}
			started := time.Now()
			ch := open(t, Sudo{Path: stubAs(t, c.stub), Password: c.password}, p)
			head := make([]byte, len("it works\n"))
			_, err := io.ReadFull(ch, head)
			if c.want == nil {
				if err != nil {
					t.Fatalf("%q, %v: %v", head, err, cause(t, ch))
				}
				close(p.ready)
				if _, err := ch.Write([]byte("\x00\x03\x04\xff")); err != nil {
					t.Fatal(err)
				}
				b := make([]byte, 4)
				if _, err := io.ReadFull(ch, b); err != nil || string(b) != "\x00\x03\x04\xff" {
					t.Errorf("the pipe carried %q, %v", b, err)
				}
			} else {
				err := cause(t, ch)
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
					t.Errorf("cause: %v", err)
				}
				if strings.Contains(err.Error(), "mitosis-") && c.stub != "banner" {
					t.Errorf("the token shows: %v", err)
				}
				for _, other := range []error{ErrPassword, ErrPasswordRequired, ErrPermission} {
					if other != c.want && errors.Is(err, other) {
						t.Errorf("%v is also %v", err, other)
					}
				}
				for _, secret := range append(c.answers, c.password.reveal()) {
					if len(secret) > 2 && strings.Contains(err.Error(), secret) && secret != "wrong" {
						t.Errorf("the password shows: %v", err)
					}
				}
			}
			if strings.Contains(p.logged(), stubPassword) {
				t.Errorf("the password is in the log: %s", p.logged())
			}
			if d := time.Since(started); d > 4*time.Second {
				t.Errorf("it took %v", d)
			}
			for i, q := range someone.asked {
				if q.Path != "sudo:root" || q.Text == "" || strings.Contains(q.Text, "mitosis-") || q.Echo {
					t.Errorf("prompt %d: %+v", i, q)
				}
				if c.stub == "ask" && (q.Kind != PromptPassword || q.Attempt != i+1 || q.Text != "[sudo] password for alice:") {
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
		checkLeaks(t)
		p := far(`true`)
		asked := make(chan struct{}, 3)
		p.Prompt = func(ctx context.Context, _ Prompt) (string, error) {
			asked <- struct{}{}
			<-ctx.Done()
			return "", ctx.Err()
		}
		c := open(t, Sudo{Path: stubAs(t, stub)}, p)
		<-asked
		closeInTime(t, c)
	}
}

func TestSudoArguments(t *testing.T) {
	e := far(`x`).Env
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
		args := append(c.m.flags(), c.m.command(e.withBeginning(dropPrompt))...)
		if got := strings.Join(args, " "); got != c.want {
			t.Errorf("%+v: %s", c.m, got)
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
			args := (Sudo{Login: true}).command(far(script).Env)
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
