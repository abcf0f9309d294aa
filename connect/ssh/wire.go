package ssh

import (
	"bufio"
	"bytes"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/printable"
)

// phase is how far a connection has come. Errors name it, and it tells a busy server from one
// that refuses the user.
type phase int32

const (
	phaseTurn     phase = iota - 1 // until fewer others log in there
	phaseDial                      // until the transport is open
	phaseBanner                    // until the server's version line
	phaseKeys                      // until the host key was accepted
	phaseAuth                      // until the server let us in
	phaseSession                   // until the command runs
	phaseExchange                  // from then on
)

func (p phase) String() string {
	switch p {
	case phaseTurn:
		return connect.PhaseTurn
	case phaseDial:
		return connect.PhaseDial
	case phaseBanner:
		return "waiting for the server's version"
	case phaseKeys:
		return "key exchange"
	case phaseAuth:
		return "authentication"
	case phaseSession:
		return "starting the command"
	default:
		return "connection"
	}
}

// tell reports a phase, with the name of the server if it is a jump host.
func (d *dial) tell(phase phase) {
	if d.env.Phase == nil {
		return
	}
	text := phase.String()
	if _, jump, ok := strings.Cut(d.label, jumpWord); ok {
		text += " with jump host " + jump
	}
	d.env.Phase(text)
}

// jumpWord stands in the label of a connection to a jump host, before its name.
const jumpWord = " jump "

const (
	// wireBuffer holds the packets of one read from the network: x/crypto/ssh
	// reads 4 KiB at a time, and the version line byte by byte.
	wireBuffer = 32 << 10
	// maxGreeting bounds the part of a greeting that is kept for the error, in bytes.
	maxGreeting = 1 << 10
)

// wire is the transport below a client. It counts the bytes, and reads no more than the version
// line.
type wire struct {
	// Immutable.
	net.Conn
	tell func(phase) // of each phase, when it begins

	// Owned by the reader.
	in *bufio.Reader

	// Advisory: any goroutine of the connection may write them; they are read for messages
	// and for the choice of an error.
	phase    atomic.Int32
	received atomic.Int64 // bytes, for the keepalive
	sent     atomic.Int64 // bytes

	// wrote tells that sent has grown. Capacity 1; sent to by writers, which
	// never block; received by execEarly; never closed.
	wrote chan struct{}

	// Guarded by mu.
	mu       sync.Mutex
	greeting []byte // the bytes up to the version line
	greeted  bool
	err      error // the first error of Read
}

func newWire(conn net.Conn, tell func(phase)) *wire {
	w := &wire{Conn: conn, tell: tell, in: bufio.NewReaderSize(conn, wireBuffer), wrote: make(chan struct{}, 1)}
	w.advance(phaseBanner)
	return w
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.in.Read(p)
	if n > 0 {
		w.received.Add(int64(n))
		if phase(w.phase.Load()) == phaseBanner {
			w.greet(p[:n])
		}
	}
	if err != nil {
		w.mu.Lock()
		if w.err == nil {
			w.err = err
		}
		w.mu.Unlock()
	}
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.sent.Add(int64(n))
	select {
	case w.wrote <- struct{}{}:
	default:
	}
	return n, err
}

// greet looks for the version line (RFC 4253, section 4.2): the first that
// begins with "SSH-"; others may come before it.
func (w *wire) greet(p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range p {
		if len(w.greeting) < maxGreeting {
			w.greeting = append(w.greeting, c)
		}
		if c != '\n' || w.greeted {
			continue
		}
		line := w.greeting[:len(w.greeting)-1]
		line = line[bytes.LastIndexByte(line, '\n')+1:]
		if bytes.HasPrefix(line, []byte("SSH-")) {
			w.greeted = true
			w.advance(phaseKeys)
		}
	}
}

// said returns the printable part of the greeting.
func (w *wire) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := printable.Text(string(w.greeting))
	if len(text) > 200 {
		text = text[:200] + "..."
	}
	return text
}

func (w *wire) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *wire) advance(to phase) {
	for {
		now := w.phase.Load()
		if now >= int32(to) {
			return
		}
		if w.phase.CompareAndSwap(now, int32(to)) {
			w.tell(to)
			return
		}
	}
}

func (w *wire) at() phase { return phase(w.phase.Load()) }
