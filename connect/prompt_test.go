package connect

import (
	"strings"
	"testing"
)

func TestMatcherWithToken(t *testing.T) {
	m := matcher{token: "tok-1:"}
	m.feed([]byte("We trust you have received the usual lecture.\nEnter your password: \n"))
	if _, byToken, ok := m.prompt(); ok && byToken {
		t.Error("a lecture was taken for a prompt")
	}
	m.feed([]byte("tok"))
	m.feed([]byte("-1:"))
	if _, byToken, ok := m.prompt(); !ok || !byToken {
		t.Error("the token was not recognised in pieces")
	}
	m.answered()
	if _, _, ok := m.prompt(); ok {
		t.Error("the same prompt was seen twice")
	}
	m.feed([]byte("\r\n***\r\nSorry, try again.\r\ntok-1:"))
	if _, byToken, _ := m.prompt(); !byToken {
		t.Error("the second prompt was not recognised")
	}
	if said := m.said(); strings.Contains(said, "tok-1") || !strings.Contains(said, "Sorry, try again.") {
		t.Errorf("it said %q", said)
	}
}

func TestMatcherWithoutToken(t *testing.T) {
	for in, want := range map[string]string{
		"deploy@web1's password: ":                    "deploy@web1's password:",
		"Passwort: ":                                  "Passwort:",
		"[sudo] Mot de passe de deploy : ":            "[sudo] Mot de passe de deploy :",
		"パスワード：":                                      "パスワード：",
		"banner: do not enter\nPIN? ":                 "PIN?",
		"Are you sure you want to continue? (yes/no)": "",
		"password: \n":                                "",
		"still writing":                               "",
	} {
		m := matcher{}
		m.feed([]byte(in))
		text, _, ok := m.prompt()
		if ok != (want != "") || ok && text != want {
			t.Errorf("%q: %q, %v", in, text, ok)
		}
	}
}

// Whatever a tool prints, memory is bounded, and only what ends with the token
// or with an unfinished line is a prompt.
func FuzzMatcher(f *testing.F) {
	f.Add("tok", []byte("a password: tok"))
	f.Add("", []byte("\xff\x00password:"))
	f.Fuzz(func(t *testing.T, token string, b []byte) {
		m := matcher{token: token}
		for i := range b {
			m.feed(b[i : i+1])
			m.prompt()
		}
		if len(m.text) > maxPromptText {
			t.Errorf("%d bytes are kept", len(m.text))
		}
		_, byToken, _ := m.prompt()
		if byToken && (token == "" || !strings.Contains(string(b), token)) {
			t.Errorf("%q is not in %q", token, b)
		}
		m.said()
	})
}
