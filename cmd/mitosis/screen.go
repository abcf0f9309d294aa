package main

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/mitosis-go/mitosis/cmd/internal/settings"
)

// screen prints for several hosts. Lines come whole, and above a progress bar if there is one.
type screen struct {
	// Immutable.
	out, errOut    io.Writer
	outTTY, errTTY bool // controls are shown and not obeyed
	colours        settings.Choice
	failed         func(error) // called, with mu, when out can't be written

	mu  sync.Mutex
	bar *bar // guarded by mu; nil: none is shown
	err error
}

func newScreen(out, errOut io.Writer, failed func(error)) *screen {
	s := &screen{out: out, errOut: errOut, outTTY: isTerminal(out), errTTY: isTerminal(errOut), failed: failed}
	s.colours = inForce.Colours
	if s.colours == settings.Auto && (!s.outTTY || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb") {
		s.colours = settings.Never
	}
	return s
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// line prints a line of a host behind its name.
func (s *screen) line(host string, text []byte, stderr bool) {
	s.print(append(append(s.label(host, ": ", stderr), s.shown(text, stderr)...), '\n'), stderr)
}

// label returns the name of a host in its colour, and what stands behind it.
func (s *screen) label(host, behind string, stderr bool) []byte {
	host = printable(host)
	if s.colours == settings.Never || s.colours == settings.Auto && stderr && !s.errTTY {
		return []byte(host + behind)
	}
	h := fnv.New32a()
	h.Write([]byte(host))
	return fmt.Appendf(nil, "\x1b[%dm%s\x1b[0m%s", 31+h.Sum32()%6, host, behind)
}

// shown returns a text of a host as it may be printed.
func (s *screen) shown(text []byte, stderr bool) []byte {
	if s.outTTY && !stderr || s.errTTY && stderr {
		return visible(bytes.TrimSuffix(text, []byte("\r")))
	}
	return text
}

// say prints a message of this program on standard error.
func (s *screen) say(format string, args ...any) {
	s.print([]byte(forReader(s.errOut, fmt.Sprintf(format, args...))+"\n"), true)
}

// print prints bytes that end with a line. The first error of standard output is kept.
func (s *screen) print(b []byte, stderr bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	atTerminal := s.errTTY && stderr || s.outTTY && !stderr
	if s.bar != nil && atTerminal {
		s.bar.above(b)
		return
	}
	w := s.out
	if stderr {
		w = s.errOut
	} else if s.err != nil {
		return
	}
	var err error
	if atTerminal {
		err = standingQuestion.above(b, w.Write)
	} else {
		_, err = w.Write(b)
	}
	if !stderr && err != nil {
		s.err = err
		s.failed(err)
	}
}

// written returns why standard output could not be written, nil if it could.
func (s *screen) written() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// show begins a progress bar, unless standard error is no terminal, or standard output is
// another one.
func (s *screen) show(b func() *bar) {
	if !s.errTTY || s.outTTY && !sameFile(s.out, s.errOut) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bar = b()
}

// count shows how many hosts have a result.
func (s *screen) count(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		s.bar.count(n)
	}
}

// abandon leaves the terminal in order at a sudden end. Whoever prints may be stuck.
func (s *screen) abandon() {
	if s.errTTY && s.mu.TryLock() && s.bar != nil {
		fmt.Fprint(s.errOut, clearLine)
	}
}

// end removes the progress bar, and a question that still stands.
func (s *screen) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.errTTY {
		standingQuestion.remove(s.errOut)
	}
	if s.bar != nil {
		s.bar.end()
		s.bar = nil
	}
}

func sameFile(a, b any) bool {
	f, ok := a.(*os.File)
	g, ok2 := b.(*os.File)
	if !ok || !ok2 {
		return false
	}
	fi, err := f.Stat()
	gi, err2 := g.Stat()
	return err == nil && err2 == nil && os.SameFile(fi, gi)
}

// visible returns a text with escapes in place of controls, of characters that change the
// direction or are not seen, and of bytes that are no UTF-8. A terminal obeys none of it.
func visible(text []byte) []byte {
	plain := func(r rune) bool { return r == '\t' || unicode.IsPrint(r) }
	if utf8.Valid(text) && bytes.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	var out []byte
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			out = fmt.Appendf(out, `\x%02x`, text[0])
		case plain(r):
			out = append(out, text[:n]...)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			out = append(out, quoted[1:len(quoted)-1]...)
		}
		text = text[n:]
	}
	return out
}

// visibleLines is visible for a text of several lines.
func visibleLines(text []byte) []byte {
	var lines []string
	for line := range strings.SplitSeq(string(text), "\n") {
		lines = append(lines, string(visible([]byte(strings.TrimSuffix(line, "\r")))))
	}
	return []byte(strings.Join(lines, "\n"))
}

// forReader returns a text as it may be written: with controls that are seen at a terminal.
func forReader(w io.Writer, text string) string {
	if isTerminal(w) {
		return string(visibleLines([]byte(text)))
	}
	return text
}

// messages writes lines on standard error, above a progress bar.
type messages struct{ *screen }

// Write implements io.Writer.
func (m messages) Write(b []byte) (int, error) {
	m.print(append(slices.Clip(bytes.TrimSuffix(b, []byte("\n"))), '\n'), true)
	return len(b), nil
}
