package become

import (
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

import "testing"

func TestSudoPrompts(t *testing.T) {
	recognise := sudoPrompt("mitosis-TOK")
	for line, want := range map[string]string{
		"[mitosis-TOK] password for alice: ":                    "[sudo] password for alice:",
		"Rest of a line [mitosis-TOK] password for alice: ":     "[sudo] password for alice:",
		"[sudo: [mitosis-TOK] password for alice: ] Password: ": "[sudo: [sudo] password for alice: ] Password: ",
		"[sudo: authenticate] Password: ":                       "[sudo: authenticate] Password: ",
		"[mitosis-TOK] password for ali":                        "",
		"[mitosis-TO":                                           "",
		"[sudo] password for alice: ":                           "",
		"Password: ":                                            "",
		"[sudo: authenticate] ":                                 "",
		"This is [sudo: a banner] about the password: ":         "",
	} {
		q := recognise(line)
		if q.Vague {
			q = tool.Question{} // not for certain
		}
		if (q.Asks == tool.AsksPassword) != (want != "") || q.Text != want {
			t.Errorf("%q is taken for %+v, want %q as a question for a password", line, q, want)
		}
	}
}

// Whatever sudo prints, a question has a text.
func FuzzSudoPrompts(f *testing.F) {
	for _, seed := range []string{"Password: ", "[TOK] y: ", "[sudo: x] Password: ", "\xff\r\n:"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var line tool.PromptLine
		line.Feed(b)
		if q := sudoPrompt("TOK")(line.Text()); q.Asks != tool.AsksNothing && q.Text == "" {
			t.Errorf("%q asks %+v", line.Text(), q)
		}
	})
}
