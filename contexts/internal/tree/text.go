package tree

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxText bounds a text that Printable returns, in bytes.
	MaxText = 4 << 10
	// MaxWord bounds a text that Word returns, in bytes.
	MaxWord = 200
)

// Printable returns a text of another context, bounded and without characters that would
// paint over a terminal.
func Printable(text string) string {
	shown := make([]rune, 0, min(len(text), MaxText))
	for size, r := range text {
		if size >= MaxText {
			break
		}
		if unicode.IsPrint(r) && r != utf8.RuneError {
			shown = append(shown, r)
		}
	}
	return string(shown)
}

// Word returns a short text of another context, such as a phase or a path, that fits
// into a message of ours. Characters that can't be printed become underscores.
func Word(text string) string {
	if len(text) > MaxWord {
		text = text[:MaxWord]
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return '_'
		}
		return r
	}, text)
}
