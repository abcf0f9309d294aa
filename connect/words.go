package connect

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// secrets are what was typed for a tool. Whatever the tool says afterwards is
// shown without them.
type secrets struct {
	// Immutable.
	token, instead string // a word that means nothing to a reader, and one that does

	mu  sync.Mutex
	all []string // guarded by mu
}

func (s *secrets) add(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if secret != "" && !slices.Contains(s.all, secret) {
		s.all = append(s.all, secret)
	}
}

func (s *secrets) hide(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range s.all {
		text = strings.ReplaceAll(text, secret, redacted)
	}
	if s.token != "" {
		text = strings.ReplaceAll(text, s.token, s.instead)
	}
	return text
}

// words takes what a tool says on its standard error or its terminal: whole
// lines go to the log, the last ones are kept for an error.
type words struct {
	secrets *secrets
	last    *lastWords
	tell    func(line string) // gets complete lines; nil if nobody wants them; must not block

	mu   sync.Mutex
	line []byte // guarded by mu; not yet ended, and so not yet looked through for secrets
}

func newWords(log *slog.Logger, on string, s *secrets) *words {
	return &words{secrets: s, last: &lastWords{log: log, on: on}}
}

// Write never fails.
func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.line = append(w.line, p...)
	end := bytes.LastIndexByte(w.line, '\n') + 1
	if end == 0 && len(w.line) > maxWordsLine {
		end = len(w.line)
	}
	if end > 0 {
		said := w.secrets.hide(string(w.line[:end]))
		_, _ = w.last.Write([]byte(said))
		if w.tell != nil {
			for line := range strings.FieldsFuncSeq(said, func(r rune) bool { return r == '\n' || r == '\r' }) {
				if line = strings.TrimSpace(cleanLine(line)); line != "" {
					w.tell(line)
				}
			}
		}
		w.line = append(w.line[:0], w.line[end:]...)
	}
	return len(p), nil
}

// String is the end of what was said, with " / " between lines.
func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	parts := make([]string, 0, 2)
	for part := range strings.SplitSeq(w.last.String()+" / "+cleanLine(w.secrets.hide(string(w.line))), " / ") {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, " / ")
}
