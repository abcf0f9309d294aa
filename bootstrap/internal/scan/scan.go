// Package scan finds the lines of the bootstrap in a carrier's output, among banners,
// prompts and everything else that a far side prints.
package scan

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

const (
	// maxNoise bounds the noise that the far side may print before the child's first line,
	// in bytes. Output of profiles and banners is long, but not this long.
	maxNoise = 4 << 20
	// keepNoise is the size of the end of the noise that is kept for error texts, in bytes.
	keepNoise = 8 << 10
	// MaxLine bounds the part of a line behind the marker, in bytes.
	MaxLine = 4 << 10
)

// ErrNoise is the error for a far side that prints megabytes without a marker.
var ErrNoise = errors.New("the far side prints without end and starts nothing: see what its login shell prints, and where that stops")

// An Event is one line of the far side's first stage, or of the child itself.
type Event struct {
	Verb string // one of those below
	Rest string // the line behind the verb, safe to show on a terminal
}

// The verbs. docs/bootstrap.md has the grammar of the lines.
const (
	Hi   = "hi"   // the first stage runs; facts follow
	No   = "no"   // a place for the image has failed; the plan goes on
	Fail = "fail" // a plan has failed; the next is awaited
	Ack  = "ack"  // a plan that was sent ahead has arrived
	At   = "at"   // an image has arrived at a place that the line names; it is about to run
	Go   = "go"   // the child runs; frames follow
)

// A Scanner finds events in a carrier's output. Everything else is noise.
//
// An event is a line that begins with the marker. Every event is printed with a newline in
// front, so noise before it may end without one. The beginning of the output counts as a
// newline. An echo of the command line is no event, nor is the trace of a shell: there the
// marker is in two pieces or not at the start of a line.
type Scanner struct {
	pattern []byte // newline, marker, space

	buf   []byte // received, but not yet known as event or noise; begins with a newline of our own
	noise []byte // the end of all noise
	total int    // bytes of noise seen
}

// New makes a Scanner for the lines that begin with a marker.
func New(marker string) *Scanner {
	return &Scanner{pattern: []byte("\n" + marker + " "), buf: []byte{'\n'}}
}

// feed adds bytes that were read.
func (s *Scanner) feed(b []byte) { s.buf = append(s.buf, b...) }

// next returns the next event. It returns false if it needs more bytes for that.
func (s *Scanner) next() (Event, bool) {
	for {
		at := bytes.Index(s.buf, s.pattern)
		if at < 0 {
			// The end of buf may be the beginning of the pattern: only the bytes
			// before it are noise.
			s.drop(len(s.buf) - len(s.tail()))
			return Event{}, false
		}
		s.drop(at)
		line := s.buf[len(s.pattern):]
		end := bytes.IndexByte(line, '\n')
		if end < 0 {
			if len(line) <= MaxLine {
				return Event{}, false
			}
			s.drop(len(s.pattern))
			continue
		}
		e, ok := parseEvent(line[:end])
		if !ok {
			s.drop(len(s.pattern))
			continue
		}
		// The newline that ends this line may begin the next event. Behind the event Go it
		// begins none, and is no part of the child's frames.
		s.buf = s.buf[len(s.pattern)+end:]
		if e.Verb == Go {
			s.buf = s.buf[1:]
		}
		return e, true
	}
}

// tail returns the longest end of buf that may be the beginning of the pattern.
func (s *Scanner) tail() []byte {
	from := max(0, len(s.buf)-len(s.pattern)+1)
	for i := from; i < len(s.buf); i++ {
		if bytes.HasPrefix(s.pattern, s.buf[i:]) {
			return s.buf[i:]
		}
	}
	return nil
}

// drop moves n bytes to the noise.
func (s *Scanner) drop(n int) {
	if n == 0 {
		return
	}
	s.total += n
	s.noise = append(s.noise, s.buf[:n]...)
	if over := len(s.noise) - keepNoise; over > 0 {
		s.noise = append(s.noise[:0], s.noise[over:]...)
	}
	s.buf = s.buf[n:]
}

// Rest returns the bytes that were read behind the event Go, and forgets them. They are the
// first bytes of the link, and do not count as noise.
func (s *Scanner) Rest() []byte {
	rest := bytes.Clone(s.buf)
	s.buf = nil
	return rest
}

// Read reads from r, into buf, until there is an event. It returns an error of r, io.EOF
// included, or ErrNoise.
func (s *Scanner) Read(r io.Reader, buf []byte) (Event, error) {
	for {
		if e, ok := s.next(); ok {
			return e, nil
		}
		if s.total > maxNoise {
			return Event{}, ErrNoise
		}
		n, err := r.Read(buf)
		s.feed(buf[:n])
		if err != nil && n == 0 {
			return Event{}, err
		}
	}
}

// Said returns the end of the noise as text, the unfinished last line included.
func (s *Scanner) Said() string {
	all := append(bytes.Clone(s.noise), s.buf...)
	return strings.Trim(printable(all), "\n")
}

// parseEvent parses a line behind its marker. It returns false for a line that is no event.
func parseEvent(line []byte) (Event, bool) {
	line = bytes.TrimRight(line, "\r") // a terminal's line end
	for _, c := range line {
		if c < ' ' && c != '\t' {
			return Event{}, false
		}
	}
	verb, rest, _ := strings.Cut(string(line), " ")
	switch verb {
	case Hi, Ack, No, Fail, At, Go:
		return Event{verb, strings.TrimSpace(printable([]byte(rest)))}, true
	}
	return Event{}, false
}

// printable makes noise safe for an error text: valid UTF-8 without control characters, which
// the terminal that shows the text would obey.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\r':
			return -1
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return '�'
		}
		return r
	}, strings.ToValidUTF8(string(b), "�"))
}
