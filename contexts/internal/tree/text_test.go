package tree

import (
	"strings"
	"testing"
)

func TestNoticesAreMadeSafe(t *testing.T) {
	for text, want := range map[string]string{
		"touch\x1b[2J \x07it\r\n": "touch[2J it",
		"Grüße, 你好":               "Grüße, 你好",
		"a\xffb":                  "ab",
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q becomes %q, not %q", text, got, want)
		}
	}
	if got := Printable(strings.Repeat("é", MaxText)); len(got) > MaxText+4 {
		t.Errorf("%d bytes are shown", len(got))
	}
}
