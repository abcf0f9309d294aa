package console

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
	"github.com/mitosis-go/mitosis/connect/internal/printable"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// How the far side is ended: a child does that by itself in most cases, before the line is
// closed. One that does not know yet gets a line that begins no frame, and a first stage
// understands. If a frame was cut, that has to be filled first.
const (
	longestFrame  = 64 << 10 // bytes
	farewellTime  = 700 * time.Millisecond
	lineCloseTime = 2500 * time.Millisecond
	// keepAlive is how often a far side that waits for a plan is told that
	// somebody is there. It gives up after lineIdle of silence.
	keepAlive = 3 * time.Second
	// typeTime bounds the typing of one line.
	typeTime = 10 * time.Second
)

// line is a serial line, and the carrier that it becomes.
//
// Goroutines, both ended when Close returns: listen reads the line; beat keeps
// the far side waiting until there is something to write.
type line struct {
	// Immutable.
	hop  string
	conn lineConn
	// end is printed by the far side when the child has ended; behind it come
	// the exit status, what was said on standard error, and the same again. It
	// begins like a frame, so that a reader of frames waits for the rest of it.
	end []byte

	// in has what was read. Capacity 1; sender listen, which waits for room;
	// receiver the login, then Read; closed by listen.
	in      chan []byte
	closing chan struct{} // closed by Close
	ended   chan struct{} // closed by listen: nothing is left at the far side, or the line is lost
	tasks   sync.WaitGroup

	left []byte // owned by the one reader

	wmu   sync.Mutex // held while something is written
	begun bool       // guarded by wmu: the payload has begun
	cut   bool       // guarded by wmu: a write of the payload has failed

	// Written by listen before in is closed.
	readErr error
	over    bool // the far side has said that it ended

	// Guarded by mu.
	mu    sync.Mutex
	words []byte // what came behind the end

	started   bool // the far shell is ours; owned by Open, then immutable
	closeOnce sync.Once
	closeErr  error
}

func newLine(hop string, conn lineConn) *line {
	l := &line{
		hop: hop, conn: conn, end: []byte("\x87\x1b" + rand.Text()[:8]),
		in: make(chan []byte, 1), closing: make(chan struct{}), ended: make(chan struct{}),
	}
	l.tasks.Go(l.listen)
	return l
}

// listen reads the line until the far side or the line ends.
func (l *line) listen() {
	defer close(l.ended)
	var tail []byte // the end of what was passed on, in which end may have begun
	for {
		b := make([]byte, 4096)
		n, err := l.conn.Read(b)
		b = b[:n]
		seen := len(tail)
		tail = append(tail, b...)
		if at := bytes.Index(tail, l.end); at >= 0 {
			l.over, l.readErr = true, io.EOF
			l.pass(b[:max(at-seen, 0)])
			close(l.in)
			l.hear(tail[at+len(l.end):])
			return
		}
		l.pass(b)
		if err != nil {
			if l.readErr = err; tool.IsClosed(l.closing) {
				l.readErr = io.ErrClosedPipe
			}
			close(l.in)
			return
		}
		tail = append(tail[:0], tail[max(0, len(tail)-len(l.end)+1):]...)
	}
}

// pass hands bytes to the reader, if there will be one.
func (l *line) pass(b []byte) {
	if len(b) == 0 {
		return
	}
	select {
	case l.in <- b:
	case <-l.closing:
	}
}

// hear reads the last words of the far side.
func (l *line) hear(b []byte) {
	for err := error(nil); ; {
		l.mu.Lock()
		l.words = append(l.words, b...)
		at := bytes.Index(l.words, l.end)
		if at >= 0 {
			l.words = l.words[:at]
		}
		full := len(l.words) > 4*tool.MaxLastWords
		l.mu.Unlock()
		if at >= 0 || full || err != nil {
			return
		}
		b = make([]byte, 4096)
		var n int
		n, err = l.conn.Read(b)
		b = b[:n]
	}
}

// enter types something during the login.
func (l *line) enter(text string) error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	_ = l.conn.SetWriteDeadline(time.Now().Add(typeTime))
	defer func() { _ = l.conn.SetWriteDeadline(time.Time{}) }()
	_, err := io.WriteString(l.conn, text)
	return err
}

// start makes a carrier of a line behind which the first stage runs.
func (l *line) start(e *connect.OpenRequest) {
	l.started = true
	l.tasks.Go(func() { l.beat(e.Ready) })
}

func (l *line) beat(ready <-chan struct{}) {
	select {
	case <-ready:
	case <-l.ended:
		return
	case <-l.closing:
		return
	}
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-l.ended:
			return
		case <-l.closing:
			return
		}
		l.wmu.Lock()
		begun := l.begun
		if !begun {
			_, _ = io.WriteString(l.conn, "\n")
		}
		l.wmu.Unlock()
		if begun {
			return
		}
	}
}

// Read implements bootstrap.Carrier.
func (l *line) Read(b []byte) (int, error) {
	if len(l.left) == 0 {
		chunk, ok := <-l.in
		if !ok {
			return 0, l.readErr
		}
		l.left = chunk
	}
	n := copy(b, l.left)
	l.left = l.left[n:]
	return n, nil
}

// Write implements bootstrap.Carrier. Nothing is written to a far side that has ended: a getty
// would take it for a name.
func (l *line) Write(b []byte) (int, error) {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if tool.IsClosed(l.ended) || tool.IsClosed(l.closing) {
		return 0, io.ErrClosedPipe
	}
	if !l.begun && strings.Trim(string(b), "\n") == "" {
		return len(b), nil // meant to wake a profile, which we have behind us
	}
	l.begun = true
	n, err := l.conn.Write(b)
	l.cut = l.cut || err != nil
	return n, err
}

// Close implements bootstrap.Carrier. It takes 3 s at most.
func (l *line) Close() error {
	l.closeOnce.Do(func() {
		close(l.closing)
		if l.started {
			l.dismiss()
		}
		l.closeErr = l.conn.Close()
		l.tasks.Wait()
	})
	return l.closeErr
}

// dismiss ends the far side, or sees it end.
func (l *line) dismiss() {
	limit := time.Now().Add(lineCloseTime)
	_ = l.conn.SetWriteDeadline(time.Now()) // for a write that waits
	l.wmu.Lock()
	defer l.wmu.Unlock()
	say := func(b []byte) {
		_ = l.conn.SetWriteDeadline(time.Now().Add(farewellTime))
		_, _ = l.conn.Write(b)
	}
	if !tool.IsClosed(l.ended) {
		say([]byte("\n" + string(l.end[2:]) + "\n"))
	}
	if l.cut && !l.endsWithin(farewellTime) {
		say(make([]byte, longestFrame))
	}
	l.endsWithin(time.Until(limit))
}

func (l *line) endsWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.ended:
		return true
	case <-timer.C:
		return false
	}
}

// Cause implements bootstrap.Carrier.
func (l *line) Cause(ctx context.Context) error {
	select {
	case <-l.ended:
	case <-ctx.Done():
		return nil
	}
	e := &connect.Error{Hop: l.hop, Phase: "on the line"}
	if !l.over {
		e.Err = failure.Classify(connect.ErrEOF, fmt.Errorf("the line was lost: %w", l.readErr))
		return e
	}
	l.mu.Lock()
	status, said, _ := strings.Cut(string(l.words), " ")
	l.mu.Unlock()
	e.Err = failure.Classify(connect.ErrEOF, fmt.Errorf("the far side ended: exit status %s", printable.Text(status)))
	last := &tool.LastWords{}
	_, _ = io.WriteString(last, said)
	e.Output = last.String()
	return e
}
