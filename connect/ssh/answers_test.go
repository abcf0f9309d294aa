//go:build unix

package ssh

import (
	"context"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/internal/sshtest"
)

// A server refuses an attempt as a whole. The error names the other question that was answered, and
// what the server says of the account.
func TestSSHAnswersThatAreRefused(t *testing.T) {
	connecttest.CheckLeaks(t)
	expired := round{tells: "Your account has expired; please contact your system administrator.\n"}
	refuses := round{takes: []string{"nothing"}}
	for _, c := range []struct {
		name     string
		rounds   []round
		password connect.Secret
		want     error
		text     string
		not      string
	}{
		{"a wrong code", []round{passwordRound, codeRound}, "tiger", connect.ErrPassword, `or a wrong answer to "Verification code:"`, ""},
		{"a wrong code that comes first", []round{codeRound, passwordRound}, "tiger", connect.ErrPassword, "incorrect password", ""},
		{"a wrong password", []round{passwordRound}, "lion", connect.ErrPassword, "incorrect password", "wrong answer"},
		{"an account that has expired", []round{passwordRound, expired, refuses}, "tiger", connect.ErrPermission, "account has expired", "incorrect"},
		{"a banner about accounts", []round{{tells: expired.tells}, passwordRound}, "lion", connect.ErrPassword, "incorrect password", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := methodFor(t, sshtest.Start(t, interactive(nil, c.rounds...)))
			s.Password = c.password
			e := testEnv("true")
			e.Prompt = func(_ context.Context, p connect.Prompt) (string, error) { return "1", nil }
			_, err := dialSSH(t, s, e)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || c.not != "" && strings.Contains(err.Error(), c.not) {
				t.Errorf("it ended with %v, want the class %q, %q in it and not %q", err, c.want, c.text, c.not)
			}
		})
	}
}

// With the method password the server says it as a banner, and disconnects.
func TestSSHBannerOfAnAccountThatHasExpired(t *testing.T) {
	connecttest.CheckLeaks(t)
	s := methodFor(t, sshtest.Start(t, func(s *sshtest.Server) {
		s.Config.PasswordCallback = func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) {
			return nil, &ssh.BannerError{Err: errors.New("no"), Message: "Your account has expired.\n"}
		}
	}))
	s.Password = "tiger"
	if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrPermission) || errors.Is(err, connect.ErrPassword) {
		t.Errorf("it ended with %v, want %v", err, connect.ErrPermission)
	}
}
