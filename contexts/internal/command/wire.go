package command

import (
	"bufio"
	"io"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/contexts/internal/items"
	"github.com/mitosis-go/mitosis/core"
)

// A command is one call of a ConnFunc. Its stream is for control: orders go
// there, events come back. The handles of the other streams, one for each of
// standard input, output and error, travel in the argument, so that nothing has
// to be asked before the command starts. How an output stream ends tells
// whether it is complete; the end of the command itself is an event.

// Request is the argument of that call. Names, arguments and paths are any bytes, and
// so travel as byte strings.
type Request struct {
	_         struct{} `cbor:",toarray"`
	Path      []byte
	Args      [][]byte
	Dir       []byte
	Env       [][]byte
	Flags     uint8
	SourceEnv []byte
	Input     []byte      // all of standard input, where it is short
	Stdin     core.Handle // streams of the caller; 0: none
	Stdout    core.Handle
	Stderr    core.Handle
	Pty       *Pty

	Timeout, WaitDelay, KillDelay, IdleTimeout time.Duration // 0: none; WaitDelay and KillDelay are never 0
}

// The flags of a request.
const (
	ClearEnv uint8 = 1 << iota
	LoginEnv
	Merged // standard error is standard output
	Shell  // the program is the user's login shell
	KeepJobs
)

// Pty describes a terminal.
type Pty struct {
	_          struct{} `cbor:",toarray"`
	Rows, Cols uint16
	Term       []byte
}

// Order goes to the far side. Each but OrderKill is answered by an
// EventDone, in the order in which they came.
type Order struct {
	_          struct{} `cbor:",toarray"`
	Kind       uint8
	Signal     *Signal
	Rows, Cols uint16
}

const (
	OrderKill        uint8 = iota // end the command; if it has ended, give up its output
	OrderSignal                   // a signal to the process
	OrderSignalGroup              // a signal to the process group
	OrderResize                   // a new size of the terminal
)

// Event comes back. There is one EventStarted, which is the first, and
// one EventExited; the reset of the stream says why one of them does not come.
type Event struct {
	_     struct{} `cbor:",toarray"`
	Kind  uint8
	State *State // of EventExited; of EventStarted, for the process ID
	Err   []byte // of EventDone: why the order failed; of EventExited: why the command was killed
}

const (
	EventStarted uint8 = iota
	EventDone
	EventExited
)

// A Sender writes orders or events. A caller that holds its lock sends by SendLocked.
type Sender struct {
	sync.Mutex
	w items.Writer // guarded by Mutex
}

// NewSender makes a Sender to a stream.
func NewSender(w io.Writer) *Sender { return &Sender{w: items.Writer{S: w}} }

// Send sends an order or an event.
func (s *Sender) Send(v any) error {
	s.Lock()
	defer s.Unlock()
	return s.SendLocked(v)
}

// SendLocked is Send for a caller that holds the lock.
func (s *Sender) SendLocked(v any) error { return s.w.Value(v) }

// maxOrder bounds an order or an event, in bytes: the error in it is no larger
// than a frame.
const maxOrder = 2 * core.MaxBody

// Receive reads an order or an event.
func Receive[T Order | Event](r *bufio.Reader) (T, error) {
	var v T
	b, last, err := items.Read(r, maxOrder)
	switch {
	case err != nil:
		return v, err
	case last:
		return v, core.ErrProtocol
	}
	return v, core.Unmarshal(b, &v)
}
