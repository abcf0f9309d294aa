package bootstrap

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
	// keepNoise is how much of the end of it is kept for error texts, in bytes.
	keepNoise = 8 << 10
	// maxLine bounds a line behind the marker, in bytes.
	maxLine = 4 << 10
)

// ErrNoise is returned where the far side prints megabytes and no marker
// among them.
var ErrNoise = errors.New("the far side prints without end, and not what was asked for")

// An event is one line of the far side's first stage, or of the child itself.
type event struct {
	verb string // one of those below
	rest string // what follows the verb on the line
}

// The verbs. docs/bootstrap.md has the grammar of the lines.
const (
	verbHi   = "hi"   // the first stage runs; facts follow
	verbNo   = "no"   // a place was tried and did not do; the plan goes on
	verbFail = "fail" // a plan has failed; the next is awaited
	verbAck  = "ack"  // a plan that was sent ahead has arrived
	verbAt   = "at"   // an image has been received, and where; it is about to run
	verbGo   = "go"   // the child runs; frames follow
)

// A scanner finds events in what a carrier delivers. Everything else is noise.
//
// An event is a line that begins with the marker. The line before it need not
// be complete in the sense of the far side, because every event is printed with
// a newline in front; the beginning of the output counts as one. The echo of
// the command line, or a shell that traces what it runs, does not match: there
// the marker is in two pieces or not at the start of a line.
type scanner struct {
	pattern []byte // newline, marker, space

	buf   []byte // received, not yet judged; begins with a newline of our own
	noise []byte // the last of what was judged to be noise
	total int    // bytes of noise seen
}

func newScanner(marker string) *scanner {
	return &scanner{pattern: []byte("\n" + marker + " "), buf: []byte{'\n'}}
}

// feed takes over what was read.
func (s *scanner) feed(b []byte) { s.buf = append(s.buf, b...) }

// next returns the next event, or false where more bytes are needed for it.
func (s *scanner) next() (event, bool) {
	for {
		at := bytes.Index(s.buf, s.pattern)
		if at < 0 {
			// A marker may have begun, at the latest with the last newline
			// that leaves room for it.
			s.drop(len(s.buf) - len(s.tail()))
			return event{}, false
		}
		s.drop(at)
		line := s.buf[len(s.pattern):]
		end := bytes.IndexByte(line, '\n')
		if end < 0 {
			if len(line) <= maxLine {
				return event{}, false
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
		if e.verb == verbGo {
			s.buf = s.buf[1:]
		}
		return e, true
	}
}

// tail is the longest end of buf that may be the beginning of the pattern.
func (s *scanner) tail() []byte {
	from := max(0, len(s.buf)-len(s.pattern)+1)
	for i := from; i < len(s.buf); i++ {
		if bytes.HasPrefix(s.pattern, s.buf[i:]) {
			return s.buf[i:]
		}
	}
	return nil
}

// drop moves n bytes to the noise.
func (s *scanner) drop(n int) {
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

// rest returns what followed the event go: the first bytes of the link.
func (s *scanner) rest() []byte { return s.buf }

// read reads from r until there is an event. An error of r, io.EOF too, ends it.
func (s *scanner) read(r io.Reader, buf []byte) (event, error) {
	for {
		if e, ok := s.next(); ok {
			return e, nil
		}
		if s.total > maxNoise {
			return event{}, ErrNoise
		}
		n, err := r.Read(buf)
		s.feed(buf[:n])
		if err != nil && n == 0 {
			return event{}, err
		}
	}
}

// said is the end of the noise as text, the unfinished last line included.
func (s *scanner) said() string {
	all := append(bytes.Clone(s.noise), s.buf...)
	return strings.Trim(printable(all), "\n")
}

func parseEvent(line []byte) (event, bool) {
	line = bytes.TrimRight(line, "\r") // a terminal's line end
	for _, c := range line {
		if c < ' ' && c != '\t' {
			return event{}, false
		}
	}
	verb, rest, _ := strings.Cut(string(line), " ")
	switch verb {
	case verbHi, verbAck, verbNo, verbFail, verbAt, verbGo:
		return event{verb, strings.TrimSpace(printable([]byte(rest)))}, true
	}
	return event{}, false
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
