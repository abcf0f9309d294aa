package tool

import "testing"

// A secret is hidden where a tool says it back, and nowhere else.
func TestSecretsAreHiddenAsWords(t *testing.T) {
	for _, c := range []struct{ secret, text, want string }{
		{"tiger", "the password was tiger", "the password was ***"},
		{"tiger", "tiger\ntiger, 'tiger' and user:tiger@host", "***\n***, '***' and user:***@host"},
		{"tiger", "tigers, stigers and tiger2", "tigers, stigers and tiger2"},
		{"!x y$", "is a!x y$b what you mean?", "is a***b what you mean?"},
		{"schön", "schönes Wetter, schön", "schönes Wetter, ***"},
		{"1", "1 incorrect password attempt of 10, exit status 1", "1 incorrect password attempt of 10, exit status 1"},
		{"1", "Options:\n 1 \r\n10\n1", "Options:\n *** \r\n10\n***"},
		{"", "nothing", "nothing"},
	} {
		var s Secrets
		s.Add(c.secret)
		if got := s.hide(c.text); got != c.want {
			t.Errorf("%q without %q is %q, want %q", c.text, c.secret, got, c.want)
		}
	}
}

// What the terminal shows of an answer is not what the tool said.
func TestTheEchoOfAnAnswerIsLeftOut(t *testing.T) {
	for _, c := range []struct{ before, after, want string }{
		{"Option: ", "1\nno option 1\n", "Option: / no option 1"},
		{"Option: ", "1\r\nno option 1\n", "Option: / no option 1"},
		{"Option:\n", "1\nthere are 1\n", "Option: / there are 1"},
		{"Option: ", "really?\nthere are 1\n", "Option: really? / there are 1"},
	} {
		w := NewWords(nil, OnTerminal, new(Secrets))
		_, _ = w.Write([]byte(c.before))
		w.answered("1")
		for i := range len(c.after) {
			_, _ = w.Write([]byte{c.after[i]})
		}
		if got := w.String(); got != c.want {
			t.Errorf("of %q, the answer 1 and %q it keeps %q, want %q", c.before, c.after, got, c.want)
		}
	}
}
