package tool

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"

	"github.com/mitosis-go/mitosis/connect/internal/printable"
)

// Words gets the standard error of a tool, or the output of its terminal, and takes the
// secrets out. Whole lines go to the log, and the last ones are kept for an error.
type Words struct {
	secrets *Secrets
	last    *LastWords
	tell    func(line string) // gets complete lines; must not block; may be nil

	// Guarded by mu.
	mu   sync.Mutex
	line []byte // not yet ended, and so not yet looked through for secrets
	echo string // an answer that the terminal is about to show at the end of line; "" if there is none
}

// NewWords makes words that are logged with the name of their stream.
func NewWords(log *slog.Logger, on string, s *Secrets) *Words {
	return &Words{secrets: s, last: &LastWords{Log: log, On: on}}
}

// Write never fails.
func (w *Words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.line = append(w.line, p...)
	end := bytes.LastIndexByte(w.line, '\n') + 1
	if end == 0 && len(w.line) > maxWordsLine {
		end = len(w.line)
	}
	if end > 0 {
		said := w.secrets.hide(w.withoutEchoLocked(string(w.line[:end])))
		_, _ = w.last.Write([]byte(said))
		if w.tell != nil {
			for line := range strings.FieldsFuncSeq(said, func(r rune) bool { return r == '\n' || r == '\r' }) {
				if line = strings.TrimSpace(printable.Line(line)); line != "" {
					w.tell(line)
				}
			}
		}
		w.line = append(w.line[:0], w.line[end:]...)
	}
	return len(p), nil
}

// answered announces the echo of an answer, which is left out: the tool has not said it.
func (w *Words) answered(answer string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.echo = answer
}

func (w *Words) withoutEchoLocked(said string) string {
	echo := w.echo
	w.echo = ""
	line, after, _ := strings.Cut(said, "\n")
	if asked, isEcho := strings.CutSuffix(strings.TrimRight(line, "\r"), echo); isEcho && echo != "" {
		return asked + "\n" + after
	}
	return said
}

// String returns the last words, with " / " between lines.
func (w *Words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	parts := make([]string, 0, 2)
	for part := range strings.SplitSeq(w.last.String()+" / "+printable.Line(w.secrets.hide(string(w.line))), " / ") {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, " / ")
}
