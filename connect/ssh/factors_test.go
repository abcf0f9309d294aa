//go:build unix

package ssh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/internal/sshtest"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// A round is what a server does at one attempt at keyboard-interactive: texts that it
// tells, and questions, each behind an instruction, with the answers it takes.
type round struct {
	tells  string
	asks   []string
	takes  []string
	echoes bool
}

// interactive is a server that goes through rounds, one after the other, and starts
// anew after a wrong answer.
func interactive(attempts *int, rounds ...round) func(*sshtest.Server) {
	return func(s *sshtest.Server) {
		s.Config.MaxAuthTries = 20
		s.Config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			if attempts != nil {
				*attempts++
			}
			for _, r := range rounds {
				echoes := slices.Repeat([]bool{r.echoes}, len(r.asks))
				answers, err := ask("", r.tells, r.asks, echoes)
				if err != nil {
					return nil, err
				}
				if !slices.Equal(answers, r.takes) {
					return nil, errors.New("wrong")
				}
			}
			return nil, nil
		}
	}
}

var (
	passwordRound = round{asks: []string{"Password: "}, takes: []string{"tiger"}}
	codeRound     = round{asks: []string{"Verification code: "}, takes: []string{"424242"}}
)

// An answer is called wrong when the question comes again, not when another one comes.
func TestSSHCountsAttempts(t *testing.T) {
	connecttest.CheckLeaks(t)
	both := round{asks: []string{"Password: ", "Verification code: "}, takes: []string{"tiger", "424242"}}
	twice := round{asks: []string{"Code: ", "Code: "}, takes: []string{"1", "2"}}
	for _, c := range []struct {
		name    string
		rounds  []round
		answers []string
		want    string // the questions, with the number of the attempt
		reason  error
	}{
		{"one after the other", []round{passwordRound, codeRound}, []string{"tiger", "424242"}, "Password: 1,Verification code: 1", nil},
		{"both at once", []round{both}, []string{"tiger", "424242"}, "Password: 1,Verification code: 1", nil},
		{"the same words twice at once", []round{twice}, []string{"1", "2"}, "Code: 1,Code: 1", nil},
		{"the same words twice at once, after a wrong code", []round{twice}, []string{"1", "x", "1", "2"}, "Code: 1,Code: 1,Code: 2,Code: 2", nil},
		{"after a wrong password", []round{passwordRound, codeRound}, []string{"lion", "tiger", "424242"}, "Password: 1,Password: 2,Verification code: 1", nil},
		{"after a wrong code", []round{passwordRound, codeRound}, []string{"tiger", "1", "tiger", "424242"},
			"Password: 1,Verification code: 1,Password: 2,Verification code: 2", nil},
		{"three times", []round{passwordRound, codeRound}, []string{"tiger", "1", "tiger", "2", "tiger", "3"},
			"Password: 1,Verification code: 1,Password: 2,Verification code: 2,Password: 3,Verification code: 3", connect.ErrPassword},
		{"four factors", []round{passwordRound, codeRound, {asks: []string{"PIN: "}, takes: []string{"1"}}, {asks: []string{"Passcode or option (1-2): "}, takes: []string{"2"}, echoes: true}},
			[]string{"tiger", "424242", "1", "2"}, "Password: 1,Verification code: 1,PIN: 1,Passcode or option (1-2): 1", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := testEnv("true")
			var asked []string
			e.Prompt = func(_ context.Context, p connect.Prompt) (string, error) {
				asked = append(asked, fmt.Sprint(strings.TrimSpace(p.Text), " ", p.Attempt))
				return c.answers[len(asked)-1], nil
			}
			conn, err := dialSSH(t, methodFor(t, sshtest.Start(t, interactive(nil, c.rounds...))), e)
			if conn != nil {
				conn.Close()
			}
			if !errors.Is(err, c.reason) {
				t.Errorf("it ended with %v, not %v", err, c.reason)
			}
			if got := strings.Join(asked, ","); got != c.want {
				t.Errorf("asked %q, not %q", got, c.want)
			}
		})
	}
}

// With the right password and nobody for the second question, the password is not
// called wrong, and sent once.
func TestSSHLacksASecondFactor(t *testing.T) {
	connecttest.CheckLeaks(t)
	for _, c := range []struct {
		name   string
		rounds []round
		text   string
	}{
		{"behind the password", []round{passwordRound, codeRound}, "Verification code:"},
		{"before the password", []round{codeRound, passwordRound}, "Verification code:"},
		{"beside the password", []round{{asks: []string{"Password: ", "One-time password: "}, takes: []string{"tiger", "1"}}}, "One-time password:"},
		{"shown while it is typed", []round{passwordRound, {asks: []string{"Option: "}, takes: []string{"1"}, echoes: true}}, "Option:"},
		{"below a word about passwords", []round{{asks: []string{"Your password expires soon.\nCode: "}, takes: []string{"1"}}}, "Code:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			attempts := 0
			s := methodFor(t, sshtest.Start(t, interactive(&attempts, c.rounds...)))
			s.Password = "tiger"
			_, err := dialSSH(t, s, testEnv("true"))
			if !errors.Is(err, connect.ErrPasswordRequired) || errors.Is(err, connect.ErrPassword) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("it ended with %v, which should name %q", err, c.text)
			}
			if attempts != 1 {
				t.Errorf("%d attempts, and each may lock the account", attempts)
			}
		})
	}
}

// A server that asks nothing, or only tells something, lets in whoever has the first
// factor, also where nobody can be asked.
func TestSSHInteractiveThatAsksNothing(t *testing.T) {
	connecttest.CheckLeaks(t)
	signer, private := sshtest.NewKey(t)
	keyFirst := func(rounds ...round) func(*sshtest.Server) {
		return func(s *sshtest.Server) {
			interactive(nil, rounds...)(s)
			second := s.Config.KeyboardInteractiveCallback
			s.Config.KeyboardInteractiveCallback = nil
			s.Config.PublicKeyCallback = func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
				if string(k.Marshal()) != string(signer.PublicKey().Marshal()) {
					return nil, errors.New("wrong key")
				}
				return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{KeyboardInteractiveCallback: second}}
			}
		}
	}
	for _, c := range []struct {
		name   string
		server func(*sshtest.Server)
		key    bool
		reason error
		text   string
	}{
		{"the second factor is waived", keyFirst(), true, nil, ""},
		{"it is waived with a word", keyFirst(round{tells: "Trusted network, no code needed."}), true, nil, ""},
		{"it is not waived", keyFirst(codeRound), true, connect.ErrPasswordRequired, "Verification code:"},
		{"there is no first factor", interactive(nil), false, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := methodFor(t, sshtest.Start(t, c.server))
			if c.key {
				s.Keys = []connect.Secret{connect.Secret(sshtest.PEMKey(t, private, ""))}
			}
			if c.reason == nil {
				mustRun(t, s, nil)
				return
			}
			_, err := dialSSH(t, s, testEnv("true"))
			if !errors.Is(err, c.reason) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("it ended with %v, not %v with %q", err, c.reason, c.text)
			}
		})
	}
}

// What a server tells is shown before anything else is asked, line by line and made
// safe; a server that never stops is not heeded for ever.
func TestSSHTells(t *testing.T) {
	connecttest.CheckLeaks(t)
	server := func(s *sshtest.Server) {
		interactive(nil, round{tells: "Pushed a login request\nto your telephone\x1b[2J"},
			round{asks: []string{"It was not confirmed.\r\nCode: "}, takes: []string{"1"}})(s)
		s.Config.BannerCallback = func(ssh.ConnMetadata) string { return "Authorised users only\n\n" }
	}
	const want = "Authorised users only|Pushed a login request|to your telephone|It was not confirmed.|asked Code:"
	e := testEnv("")
	var seen []string
	e.Notify = func(_ context.Context, n connect.Notice) {
		if !strings.HasPrefix(n.Path, "ssh:") {
			t.Errorf("a notice of %+v, want one of an ssh hop", n)
		}
		seen = append(seen, n.Text)
	}
	e.Prompt = func(_ context.Context, p connect.Prompt) (string, error) {
		seen = append(seen, "asked "+strings.TrimSpace(p.Text))
		return "1", nil
	}
	mustRun(t, methodFor(t, sshtest.Start(t, server)), e)
	if got := strings.Join(seen, "|"); got != want {
		t.Errorf("seen %q, not %q", got, want)
	}

	var many []round
	for i := range 2 * tool.MaxNotices {
		many = append(many, round{tells: fmt.Sprint("line ", i)})
	}
	seen, e.Prompt = nil, nil
	mustRun(t, methodFor(t, sshtest.Start(t, interactive(nil, many...))), e)
	if len(seen) != tool.MaxNotices {
		t.Errorf("%d lines were shown, not %d", len(seen), tool.MaxNotices)
	}
}

// A server with ever new questions ends.
func TestSSHQuestionsWithoutEnd(t *testing.T) {
	connecttest.CheckLeaks(t)
	s := methodFor(t, sshtest.Start(t, func(s *sshtest.Server) {
		s.Config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			for i := 0; ; i++ {
				if _, err := ask("", "", []string{fmt.Sprintf("Challenge %d: ", i)}, []bool{true}); err != nil {
					return nil, err
				}
			}
		}
	}))
	e := testEnv("true")
	asked := 0
	e.Prompt = func(context.Context, connect.Prompt) (string, error) { asked++; return "no", nil }
	if _, err := dialSSH(t, s, e); !errors.Is(err, connect.ErrPermission) || asked > tool.MaxQuestions {
		t.Errorf("%d questions, then %v", asked, err)
	}
}
