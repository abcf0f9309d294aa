//go:build unix

package ssh

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"

	"github.com/mitosis-go/mitosis/connect/internal/sshtest"
)

// What stands above a question is told where nobody can be asked the question, too: it
// says what the server waits for.
func TestSSHTellsWhereNobodyIsAsked(t *testing.T) {
	connecttest.CheckLeaks(t)
	const told = "Pushed a login request|Confirm it, or type the code."
	const lines = "Pushed a login request\r\nConfirm it, or type the code.\n"
	for _, c := range []struct {
		name   string
		rounds []round
		batch  bool
	}{
		{"above a hidden question", []round{{asks: []string{lines + "Code: "}, takes: []string{"1"}}}, false},
		{"above a shown question", []round{{asks: []string{lines + "Code: "}, takes: []string{"1"}, echoes: true}}, false},
		{"in a batch", []round{{asks: []string{lines + "Code: "}, takes: []string{"1"}}}, true},
		{"beside the password", []round{{asks: []string{"Password: ", lines + "Code: "}, takes: []string{"tiger", "1"}}}, false},
		{"after the password", []round{passwordRound, {asks: []string{lines + "Code: "}, takes: []string{"1"}}}, false},
		{"above the password, and a code", []round{{asks: []string{lines + "Password: ", "Code: "}, takes: []string{"tiger", "1"}}}, false},
	} {
		e := testEnv("true")
		var seen []string
		e.Notify = func(_ context.Context, n connect.Notice) { seen = append(seen, n.Text) }
		s := methodFor(t, sshtest.Start(t, interactive(nil, c.rounds...)))
		s.Password = "tiger"
		if c.batch {
			e.Prompt = func(context.Context, connect.Prompt) (string, error) { return "", errors.New("somebody was asked") }
			s.NoConfig, s.ConfigFile = false, connecttest.WriteFile(t, t.TempDir()+"/config", "BatchMode yes\n", 0o600)
		}
		_, err := dialSSH(t, s, e)
		if !errors.Is(err, connect.ErrPasswordRequired) || !strings.Contains(err.Error(), "Code:") || strings.Contains(err.Error(), "Pushed") {
			t.Errorf("%s: it ended with %v, not for want of the code", c.name, err)
		}
		if want := strings.Split(told, "|"); !slices.Equal(seen, want) {
			t.Errorf("%s: told %q, not %q", c.name, seen, want)
		}
	}
}
