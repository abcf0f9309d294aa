//go:build linux

package integration

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/contexts"
)

// Real systems have odd modules and settings. The password goes to the right question, and no
// answer is typed twice. A person is asked all other questions. The class of the error is that of
// the cause.
func TestOddQuestionsOfPAM(t *testing.T) {
	t.Parallel()
	code := "auth required LAB [hidden=Verification code: ] want=424242\n"
	for i, c := range []struct {
		name, pam, service, sudoers, lang string
		reason                            error // class of the error wanted; nil if the hop must work
		tries                             int   // runs of the whole stack; each may count against the account
		asked                             string
		given                             string
		m                                 func(p connect.Secret) connect.Method
		person                            map[string]string
	}{
		{name: "override, code, person", tries: 1, asked: "[sudo] password for deploy:", pam: "auth required UNIX\n" + code, service: "sudo", sudoers: "Defaults passprompt_override\ndeploy ALL=(ALL) ALL", given: rightPassword, person: map[string]string{"password for deploy": "424242"}},
		{name: "override, code, nobody", tries: 1, reason: connect.ErrPasswordRequired, pam: "auth required UNIX\n" + code, service: "sudo", sudoers: "Defaults passprompt_override\ndeploy ALL=(ALL) ALL", given: rightPassword},
		{name: "override, wrong password", tries: 2, reason: connect.ErrPassword, pam: "auth requisite UNIX\n" + code, service: "sudo", sudoers: "Defaults passprompt_override\ndeploy ALL=(ALL) ALL", given: wrongPassword},
		{name: "wrong password, requisite", tries: 2, reason: connect.ErrPassword, pam: "auth requisite UNIX\n" + code, service: "sudo", given: wrongPassword, person: map[string]string{"code": "424242"}},
		{name: "wrong password, required, code of a person", tries: 2, reason: connect.ErrPassword, asked: "Verification code: ", pam: "auth required UNIX\n" + code, service: "sudo", given: wrongPassword, person: map[string]string{"code": "424242"}},
		{name: "right password, wrong code of a person", tries: 2, reason: connect.ErrPassword, asked: "Verification code: ", pam: "auth required UNIX\n" + code, service: "sudo", given: rightPassword, person: map[string]string{"code": "1"}},
		{name: "pwfeedback and code", tries: 1, asked: "Verification code: ", pam: "auth required UNIX\n" + code, service: "sudo", sudoers: "Defaults pwfeedback\ndeploy ALL=(ALL) ALL", given: rightPassword, person: map[string]string{"code": "424242"}},
		{name: "login shell and code", tries: 1, asked: "Verification code: ", pam: "auth required UNIX\n" + code, service: "sudo-i", given: rightPassword, person: map[string]string{"code": "424242"},
			m: func(p connect.Secret) connect.Method { return become.Sudo{Login: true, Password: p} }},
		{name: "German and code", tries: 1, asked: "Verification code: ", pam: "auth required UNIX\n" + code, service: "sudo", lang: "de_DE.UTF-8", given: rightPassword, person: map[string]string{"code": "424242"}},
		{name: "LDAP prompt", tries: 1, pam: "auth required LAB [hidden=LDAP Password: ] want=" + rightPassword + "\n", service: "sudo", given: rightPassword},
		{name: "OATH first", tries: 1, asked: "One-time password (OATH) for `deploy': ", pam: "auth required LAB [hidden=One-time password (OATH) for `deploy': ] want=424242\nauth required UNIX\n", service: "sudo", given: rightPassword, person: map[string]string{"OATH": "424242"}},
		{name: "OATH first, su", tries: 1, asked: "One-time password (OATH) for `deploy': ", pam: "auth required LAB [hidden=One-time password (OATH) for `deploy': ] want=424242\nauth required UNIX\n", service: "su", given: rightPassword, person: map[string]string{"OATH": "424242"},
			m: func(p connect.Secret) connect.Method { return become.Su{User: "carol", Password: p} }},
		{name: "two Passwords, su", tries: 1, asked: "Password: ", pam: "auth required UNIX\nauth required LAB [hidden=Password: ] want=424242\n", service: "su", given: rightPassword, person: map[string]string{"Password": "424242"},
			m: func(p connect.Secret) connect.Method { return become.Su{User: "carol", Password: p} }},
		{name: "two Passwords, sudo", tries: 1, asked: "[sudo] password for deploy:", pam: "auth required UNIX\nauth required LAB [hidden=Password: ] want=424242\n", service: "sudo", given: rightPassword, person: map[string]string{"assword": "424242"}},
		{name: "code of a person, su, wrong", tries: 1, reason: connect.ErrPassword, asked: "Verification code: ", pam: code, service: "su", person: map[string]string{"code": "1"},
			m: func(p connect.Secret) connect.Method { return become.Su{User: "carol", Password: p} }},
		{name: "empty answer", tries: 1, asked: "Touch and press Enter: ", pam: "auth required LAB [hidden=Touch and press Enter: ] want=\n", service: "sudo", person: map[string]string{"Enter": ""}},
		{name: "colours", tries: 1, asked: "Option> ", pam: "auth required LAB [echo=\x1b[1mOption\x1b[0m> ] want=2\n", service: "sudo", person: map[string]string{"Option>": "2"}},
		{name: "long wait without a word", tries: 1, pam: "auth required UNIX\nauth required LAB wait=4000\n", service: "sudo", given: rightPassword},
		{name: "an unfinished word, su", tries: 1, asked: "Choose", pam: "auth required UNIX\nauth required LAB [echo=Choose] want=2\n", service: "su", given: rightPassword, person: map[string]string{"Choose": "2"},
			m: func(p connect.Secret) connect.Method { return become.Su{User: "carol", Password: p} }},
	} {
		if testing.Short() && i >= 5 {
			break
		}
		t.Run(c.name, func(t *testing.T) {
			h := becomeHost("")
			h.Lang, h.Sudoers = c.lang, cmp.Or(c.sudoers, "deploy ALL=(ALL) ALL")
			host := start(t, withPAM(t, h, "auth required LAB note=/run/tries\n"+c.pam, c.service))
			var asked []string
			cfg := new(contexts.Config)
			if c.person != nil {
				cfg.Prompt = func(_ context.Context, p connect.Prompt) (string, error) {
					asked = append(asked, p.Text)
					if p.Attempt != 1 {
						t.Errorf("the question %+v says that an answer was wrong, want a first attempt", p)
					}
					for words, answer := range c.person {
						if strings.Contains(p.Text, words) {
							return answer, nil
						}
					}
					return "", errWalkedAway
				}
			}
			var m connect.Method = become.Sudo{Password: connect.Secret(c.given)}
			if c.m != nil {
				m = c.m(connect.Secret(c.given))
			}
			node := enter(t, master(t, cfg), host, "deploy")
			if c.reason == nil {
				who(t, child(t, node, m))
			} else {
				err := refused(t, node, m, c.reason, patience)
				for _, other := range []error{connect.ErrPassword, connect.ErrPasswordRequired} {
					if other != c.reason && errors.Is(err, other) {
						t.Errorf("the error %v is also of the class %v, want only %v", err, other, c.reason)
					}
				}
				withholds(t, rightPassword, err.Error())
			}
			if got := strings.Join(asked, "|"); got != c.asked {
				t.Errorf("the person was asked %q, want %q", got, c.asked)
			}
			if tries, err := host.Exec(t.Context(), "cat", "/run/tries"); err != nil || strings.Count(tries, "called") != c.tries {
				t.Errorf("the stack has run %d times, error %v, want %d", strings.Count(tries, "called"), err, c.tries)
			}
		})
	}
}

// A question of PAM may have no text. The person is asked all the same, behind each tool, and where
// nobody can be asked the error says so long before the deadline.
func TestAQuestionOfPAMWithoutAText(t *testing.T) {
	t.Parallel()
	const unix, hidden, shown = "auth required UNIX\n", "auth required LAB hidden= want=424242\n", "auth required LAB echo= want=424242\n"
	for name, lines := range map[string]string{"first": hidden + unix, "last": unix + hidden, "shown": shown + unix} {
		if testing.Short() && name != "first" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := start(t, withPAM(t, pamPlain(), lines, "sudo", "su", "doas", "sshd"))
			for _, w := range pamWays {
				t.Run(w.name, func(t *testing.T) {
					t.Parallel()
					var asked []string
					parent, m := w.hop(t, host, rightPassword)
					who(t, child(t, parent(&contexts.Config{Prompt: func(_ context.Context, p connect.Prompt) (string, error) {
						asked = append(asked, p.Text)
						return "424242", nil
					}}), m))
					if len(asked) != 1 || strings.Contains(asked[0], "assword") {
						t.Errorf("the person was asked %q, want one question without a text", asked)
					}
				})
			}
			if name == "shown" {
				return // nobody can tell a tool of another user that reads from a slow one
			}
			for _, w := range pamWays {
				t.Run(w.name+", nobody", func(t *testing.T) {
					t.Parallel()
					parent, m := w.hop(t, host, rightPassword)
					err := refused(t, parent(nil), m, connect.ErrPasswordRequired, stretched(45*time.Second))
					withholds(t, rightPassword, err.Error())
				})
			}
		})
	}
}

// The error does not say that only the password can have been wrong where a code was asked for, too.
func TestAWrongCodeIsNotAWrongPassword(t *testing.T) {
	t.Parallel()
	host := pamHost(t, []factor{passwordFactor, codeFactor})
	for _, w := range pamWays {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			parent, m := w.hop(t, host, rightPassword)
			a := &answering{factors: []factor{{text: codeFactor.text, answer: "1"}}}
			err := refused(t, parent(&contexts.Config{Prompt: a.ask}), m, connect.ErrPassword, patience)
			if want := `or a wrong answer to "`; !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Verification code:") {
				t.Errorf("the error is %v, want %q and the question in it", err, want)
			}
		})
	}
}

// Where an account has expired the right password is not called wrong.
func TestAnAccountThatHasExpired(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"KbdInteractiveAuthentication", "PasswordAuthentication"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			h := withPAM(t, pamPlain(), "auth required UNIX\naccount required pam_unix.so\n", "sudo", "su", "doas", "sshd")
			h.SSHD.Config = []string{"KbdInteractiveAuthentication no", "PasswordAuthentication no"}
			for i, line := range h.SSHD.Config {
				if strings.HasPrefix(line, method) {
					h.SSHD.Config[i] = method + " yes"
				}
			}
			h.Setup = append(h.Setup, "chage -E 1 deploy")
			host := start(t, h)
			for _, w := range pamWays {
				if method == "PasswordAuthentication" && w.service != "sshd" {
					continue // as before
				}
				t.Run(w.name, func(t *testing.T) {
					t.Parallel()
					parent, m := w.hop(t, host, rightPassword)
					err := refused(t, parent(nil), m, connect.ErrPermission, patience)
					if errors.Is(err, connect.ErrPassword) || !strings.Contains(err.Error(), "expired") {
						t.Errorf("the error is %v, want that something has expired, and no word of a wrong password", err)
					}
					withholds(t, rightPassword, err.Error())
				})
			}
		})
	}
}
