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

// Close ends the far side. A child has mostly ended by itself before. Otherwise the far side
// gets a line of text that is no frame and that the first stage understands. If a frame was
// cut, it is filled up before.
const (
	longestFrame = 64 << 10 // bytes
	farewellTime = 700 * time.Millisecond
	closeTime    = 2500 * time.Millisecond
	// keepAlive is how often a far side that waits for a plan gets a line feed. It gives
	// up after idleTenths of silence.
	keepAlive = 3 * time.Second
	// typeTime bounds the typing of one line.
	typeTime = 10 * time.Second
)

// port is a serial line, or a socket that leads to one, and the carrier that it becomes.
//
// Goroutines, which have both ended when Close returns: listen reads the line; beat keeps the
// far side waiting until the payload begins.
type port struct {
	// Immutable.
	hop  string
	conn portConn
	// end is what the far side prints when the child has ended. Behind it come the exit
	// status, the standard error, and end again. It begins like a frame, so that a reader
	// of frames waits for the rest of it.
	end []byte

	// in has the bytes that were read. Capacity 1; sender listen, which waits for room;
	// receiver the login, then Read; closed by listen.
	in      chan []byte
	closing chan struct{} // closed by Close
	ended   chan struct{} // closed by listen when the far side has ended or the line is lost
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
	words []byte // the output behind end

	started   bool // the far shell is ours; owned by Open, then immutable
	closeOnce sync.Once
	closeErr  error
}

func newPort(hop string, conn portConn) *port {
	p := &port{
		hop: hop, conn: conn, end: []byte("\x87\x1b" + rand.Text()[:8]),
		in: make(chan []byte, 1), closing: make(chan struct{}), ended: make(chan struct{}),
	}
	p.tasks.Go(p.listen)
	return p
}

// listen reads the line until the far side or the line ends.
func (p *port) listen() {
	defer close(p.ended)
	var tail []byte // the last bytes that were passed on: end may begin in them
	for {
		b := make([]byte, 4096)
		n, err := p.conn.Read(b)
		b = b[:n]
		seen := len(tail)
		tail = append(tail, b...)
		if at := bytes.Index(tail, p.end); at >= 0 {
			p.over, p.readErr = true, io.EOF
			p.pass(b[:max(at-seen, 0)])
			close(p.in)
			p.hear(tail[at+len(p.end):])
			return
		}
		p.pass(b)
		if err != nil {
			if p.readErr = err; tool.IsClosed(p.closing) {
				p.readErr = io.ErrClosedPipe
			}
			close(p.in)
			return
		}
		tail = append(tail[:0], tail[max(0, len(tail)-len(p.end)+1):]...)
	}
}

// pass hands bytes to the reader, if there will be one.
func (p *port) pass(b []byte) {
	if len(b) == 0 {
		return
	}
	select {
	case p.in <- b:
	case <-p.closing:
	}
}

// hear reads the last words of the far side.
func (p *port) hear(b []byte) {
	for err := error(nil); ; {
		p.mu.Lock()
		p.words = append(p.words, b...)
		at := bytes.Index(p.words, p.end)
		if at >= 0 {
			p.words = p.words[:at]
		}
		full := len(p.words) > 4*tool.MaxLastWords
		p.mu.Unlock()
		if at >= 0 || full || err != nil {
			return
		}
		b = make([]byte, 4096)
		var n int
		n, err = p.conn.Read(b)
		b = b[:n]
	}
}

// enter types something during the login.
func (p *port) enter(text string) error {
	p.wmu.Lock()
	defer p.wmu.Unlock()
	_ = p.conn.SetWriteDeadline(time.Now().Add(typeTime))
	defer func() { _ = p.conn.SetWriteDeadline(time.Time{}) }()
	_, err := io.WriteString(p.conn, text)
	return err
}

// start makes the port a carrier, once the first stage runs behind it.
func (p *port) start(e *connect.OpenRequest) {
	p.started = true
	p.tasks.Go(func() { p.beat(e.Ready) })
}

func (p *port) beat(ready <-chan struct{}) {
	select {
	case <-ready:
	case <-p.ended:
		return
	case <-p.closing:
		return
	}
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-p.ended:
			return
		case <-p.closing:
			return
		}
		p.wmu.Lock()
		begun := p.begun
		if !begun {
			_, _ = io.WriteString(p.conn, "\n")
		}
		p.wmu.Unlock()
		if begun {
			return
		}
	}
}

// Read implements bootstrap.Carrier.
func (p *port) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		chunk, ok := <-p.in
		if !ok {
			return 0, p.readErr
		}
		p.left = chunk
	}
	n := copy(b, p.left)
	p.left = p.left[n:]
	return n, nil
}

// Write implements bootstrap.Carrier. It fails if the far side has ended: a getty would take
// the bytes for a name.
func (p *port) Write(b []byte) (int, error) {
	p.wmu.Lock()
	defer p.wmu.Unlock()
	if tool.IsClosed(p.ended) || tool.IsClosed(p.closing) {
		return 0, io.ErrClosedPipe
	}
	if !p.begun && strings.Trim(string(b), "\n") == "" {
		return len(b), nil // meant for a login profile that reads; the shell is past it
	}
	p.begun = true
	n, err := p.conn.Write(b)
	p.cut = p.cut || err != nil
	return n, err
}

// Close implements bootstrap.Carrier. It takes 3 s at most.
func (p *port) Close() error {
	p.closeOnce.Do(func() {
		close(p.closing)
		if p.started {
			p.dismiss()
		}
		p.closeErr = p.conn.Close()
		p.tasks.Wait()
	})
	return p.closeErr
}

// dismiss ends the far side, if it has not ended by itself.
func (p *port) dismiss() {
	limit := time.Now().Add(closeTime)
	_ = p.conn.SetWriteDeadline(time.Now()) // for a write that waits
	p.wmu.Lock()
	defer p.wmu.Unlock()
	say := func(b []byte) {
		_ = p.conn.SetWriteDeadline(time.Now().Add(farewellTime))
		_, _ = p.conn.Write(b)
	}
	if !tool.IsClosed(p.ended) {
		say([]byte("\n" + string(p.end[2:]) + "\n"))
	}
	if p.cut && !p.endsWithin(farewellTime) {
		say(make([]byte, longestFrame))
	}
	p.endsWithin(time.Until(limit))
}

func (p *port) endsWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.ended:
		return true
	case <-timer.C:
		return false
	}
}

// Cause implements bootstrap.Carrier.
func (p *port) Cause(ctx context.Context) error {
	select {
	case <-p.ended:
	case <-ctx.Done():
		return nil
	}
	e := &connect.Error{Hop: p.hop, Phase: "on the line"}
	if !p.over {
		e.Err = failure.Classify(connect.ErrEOF, fmt.Errorf("the line was lost: %w", p.readErr))
		return e
	}
	p.mu.Lock()
	status, said, _ := strings.Cut(string(p.words), " ")
	p.mu.Unlock()
	e.Err = failure.Classify(connect.ErrEOF, fmt.Errorf("the far side ended: exit status %s", printable.Text(status)))
	last := &tool.LastWords{}
	_, _ = io.WriteString(last, said)
	e.Output = last.String()
	return e
}
