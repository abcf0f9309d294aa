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
	// maxNoise bounds what the far side may print before the child's first
	// word, in bytes: profiles and banners are long, but not this long.
	maxNoise = 4 << 20
	// keepNoise is how many bytes of noise are kept for error texts: the last ones.
	keepNoise = 8 << 10
	// MaxLine bounds the part of a line behind the marker, in bytes.
	MaxLine = 4 << 10
)

// ErrNoise: the far side prints megabytes, and no marker among them.
var ErrNoise = errors.New("the far side prints without end and starts nothing: see what its login shell prints, and where that stops")

// An Event is one line of the far side's first stage, or of the child itself.
type Event struct {
	Verb string // one of those below
	Rest string // the line behind the verb, safe to show
}

// The verbs. docs/bootstrap.md has the grammar of the lines.
const (
	Hi   = "hi"   // the first stage runs; facts follow
	No   = "no"   // a place was tried in vain; the plan goes on
	Fail = "fail" // a plan has failed; the next is awaited
	Ack  = "ack"  // a plan that was sent ahead has arrived
	At   = "at"   // an image has arrived at a place that the line names; it is about to run
	Go   = "go"   // the child runs; frames follow
)

// A Scanner finds events in a carrier's output. Everything else is noise.
//
// An event is a line that begins with the marker. The line before it need not
// be complete in the sense of the far side, because every event is printed with
// a newline in front; the beginning of the output counts as one. The echo of
// the command line, or a shell that traces what it runs, does not match: there
// the marker is in two pieces or not at the start of a line.
type Scanner struct {
	pattern []byte // newline, marker, space

	buf   []byte // received, not yet judged; begins with a newline of our own
	noise []byte // the end of all noise
	total int    // bytes of noise seen
}

// New makes a Scanner for the lines that begin with a marker.
func New(marker string) *Scanner {
	return &Scanner{pattern: []byte("\n" + marker + " "), buf: []byte{'\n'}}
}

// feed adds bytes that were read.
func (s *Scanner) feed(b []byte) { s.buf = append(s.buf, b...) }

// next returns the next event, or false where more bytes are needed for it.
func (s *Scanner) next() (Event, bool) {
	for {
		at := bytes.Index(s.buf, s.pattern)
		if at < 0 {
			// A marker may have begun, at the latest with the last newline
			// that leaves room for it.
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
		// The newline that ends this line may begin the next event; none of it
		// belongs to the child's frames.
		s.buf = s.buf[len(s.pattern)+end:]
		if e.Verb == Go {
			s.buf = s.buf[1:]
		}
		return e, true
	}
}

// tail is the longest end of buf that may be the beginning of the pattern.
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

// Rest returns the bytes that were read behind the event Go, and forgets them. They are
// the first of the link, and nothing that the far side has said.
func (s *Scanner) Rest() []byte {
	rest := bytes.Clone(s.buf)
	s.buf = nil
	return rest
}

// Read reads from r, into buf, until there is an event or r returns an error, io.EOF
// too.
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

// printable makes noise fit for an error text: valid UTF-8, no control
// characters that would do something to the terminal that shows it.
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
