package tool

import (
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/mitosis-go/mitosis/connect"
)

// Secrets are the hidden answers that were typed for a tool. Its output is shown without
// them.
type Secrets struct {
	// Immutable.
	token, instead string // a word that means nothing to a reader, and the one to show instead

	mu  sync.Mutex
	all []string // guarded by mu
}

// Add has a secret hidden from now on, wherever a tool says it back.
func (s *Secrets) Add(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if secret != "" && !slices.Contains(s.all, secret) {
		s.all = append(s.all, secret)
	}
}

func (s *Secrets) hide(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range s.all {
		text = hideWord(text, secret)
	}
	if s.token != "" {
		text = strings.ReplaceAll(text, s.token, s.instead)
	}
	return text
}

// minWord is how long a secret must be, in bytes, to be hidden within a line. A shorter
// one is hidden where it is a whole line: without "1" nothing else could be read any more.
const minWord = 4

// hideWord puts stars in the place of a secret, but not within a longer word.
func hideWord(text, secret string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, secret)
		if !found {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(before)
		shown := secret
		if so := b.String(); !joined(so, secret) && !joined(secret, after) && (len(secret) >= minWord || isLine(so, after)) {
			shown = connect.Secret("").String()
		}
		b.WriteString(shown)
		text = after
	}
}

// joined reports whether two parts of a text meet within a word.
func joined(left, right string) bool {
	l, _ := utf8.DecodeLastRuneInString(left)
	r, _ := utf8.DecodeRuneInString(right)
	return isWordPart(l) && isWordPart(r)
}

func isWordPart(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// isLine reports whether nothing but blanks is left and right on the same line.
func isLine(left, right string) bool {
	right, _, _ = strings.Cut(right, "\n")
	return strings.TrimSpace(left[strings.LastIndexByte(left, '\n')+1:]+right) == ""
}

// Reveal returns a secret as text. It is called where secrets are typed or used.
func Reveal(s connect.Secret) string { return string(s) }
