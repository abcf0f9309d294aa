package tool

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/connect"
)

// An attempt is a round of authentication, however many questions it has, and whatever
// their words are.
func TestAttemptsAreRounds(t *testing.T) {
	const sudo = "[TOK] password for alice: "
	for _, c := range []struct {
		name   string
		script Answers
		shown  []string // before each answer
		want   []string
	}{
		{
			"two modules with the same words", Answers{Recognise: likeSudo, Repeats: RepeatsWithWord},
			[]string{sudo, "\n" + sudo, "\nSorry, try again.\n" + sudo, "\n" + sudo, "\nSorry, try again.\n" + sudo, "\n" + sudo},
			[]string{"alice 1", "alice 1", "alice 2", "alice 2", "alice 3", "alice 3"},
		},
		{
			"a code that is asked for twice", Answers{Recognise: likeSudo, Repeats: RepeatsWithWord},
			[]string{"Token: ", "\nToken: ", "\nSorry, try again.\nToken: ", "\nToken: "},
			[]string{"Token 1", "Token 1", "Token 2", "Token 2"},
		},
		{
			"a password and a code", Answers{Recognise: likeSudo, Repeats: RepeatsWithWord},
			[]string{sudo, "\nCode: ", "\nSorry, try again.\n" + sudo, "\nCode: "},
			[]string{"alice 1", "Code 1", "alice 2", "Code 2"},
		},
		{
			"a password and a code of a tool that shows regret by asking again", Answers{Recognise: AnyPrompt},
			[]string{"Password: ", "\nCode: ", "\nPassword: ", "\nCode: "},
			[]string{"Password 1", "Code 1", "Password 2", "Code 2"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []string
				k := startTalk(t, c.script, func(_ context.Context, p connect.Prompt) (string, error) {
					lines := strings.Split(strings.TrimRight(p.Text, ": "), "\n")
					words := strings.Fields(lines[len(lines)-1])
					got = append(got, fmt.Sprint(words[len(words)-1], " ", p.Attempt))
					return "x", nil
				})
				defer k.end()
				for _, text := range c.shown {
					k.shows(text, true, 3*time.Second)
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("asked %q, want %q", got, c.want)
				}
			})
		})
	}
}
