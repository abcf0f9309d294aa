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
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	if got := Printable(strings.Repeat("é", MaxText)); len(got) > MaxText+4 {
		t.Errorf("of a long text %d bytes are shown, want at most %d", len(got), MaxText+4)
	}
}
