package main

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// standing is the question that waits for an answer at the terminal. Lines of hosts that are
// printed meanwhile come above it.
type standing struct {
	mu   sync.Mutex
	line string // guarded by mu; its last line; "" if no question stands
	raw  bool   // guarded by mu; a line feed does not return to the left
}

// standingQuestion is the one at our terminal.
var standingQuestion standing

// show prints a question that stands from now on. raw says that the terminal is.
func (q *standing) show(tty io.Writer, text string, raw bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.line, q.raw = text[strings.LastIndexByte(text, '\n')+1:], raw
	_, _ = tty.Write(q.returningLocked([]byte(text)))
}

// returningLocked returns a text whose line feeds return to the left.
func (q *standing) returningLocked(text []byte) []byte {
	if !q.raw {
		return text
	}
	return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
}

// end says that the question has its answer, or was withdrawn.
func (q *standing) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.line = ""
}

// remove takes a question that still stands off the terminal: it will have no answer.
func (q *standing) remove(terminal io.Writer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.line != "" {
		_, _ = io.WriteString(terminal, clearLine)
	}
	q.line = ""
}

// clearLine clears the line on which the cursor is.
const clearLine = "\r\x1b[K"

// above writes lines to the terminal, and the question again where one stands. An answer that is
// half typed is not shown again, and not lost.
func (q *standing) above(lines []byte, write func([]byte) (int, error)) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.line != "" {
		lines = append(append([]byte(clearLine), q.returningLocked(lines)...), q.line...)
	}
	_, err := write(lines)
	return err
}
