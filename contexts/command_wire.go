package contexts

import (
	"bufio"
	"cmp"
	"fmt"
	"io/fs"
	"strings"
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

// commandName is the name of the function, commandCall what its errors say.
const (
	commandName = "mitosis.command"
	commandCall = "call " + commandName
)

// commandRequest is its argument. Names, arguments and paths are any bytes, and
// so travel as byte strings.
type commandRequest struct {
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
	Pty       *wirePty

	Timeout, WaitDelay, KillDelay, IdleTimeout time.Duration // 0: none; WaitDelay and KillDelay are never 0
}

// The flags of a request.
const (
	commandClearEnv uint8 = 1 << iota
	commandLoginEnv
	commandMerged // standard error is standard output
	commandShell  // the program is the user's login shell
	commandKeepJobs
)

type wirePty struct {
	_          struct{} `cbor:",toarray"`
	Rows, Cols uint16
	Term       []byte
}

// commandOrder goes to the far side. Each but orderKill is answered by an
// eventDone, in the order in which they came.
type commandOrder struct {
	_          struct{} `cbor:",toarray"`
	Kind       uint8
	Signal     *wireSignal
	Rows, Cols uint16
}

const (
	orderKill        uint8 = iota // end the command; what it prints is given up if it has ended
	orderSignal                   // a signal to the process
	orderSignalGroup              // a signal to the process group
	orderResize                   // a new size of the terminal
)

// commandEvent comes back. There is one eventStarted, which is the first, and
// one eventExited; the reset of the stream says why one of them does not come.
type commandEvent struct {
	_     struct{} `cbor:",toarray"`
	Kind  uint8
	State *wireState // of eventExited; of eventStarted, for the process ID
	Err   []byte     // of eventDone: why not; of eventExited: why it was killed
}

const (
	eventStarted uint8 = iota
	eventDone
	eventExited
)

// commandSender writes orders or events.
type commandSender struct {
	mu sync.Mutex
	w  items.Writer
}

func (s *commandSender) send(v any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Value(v)
}

// maxOrder bounds an order or an event, in bytes: the error in it is no larger
// than a frame.
const maxOrder = 2 * core.MaxBody

// receive reads an order or an event.
func receive[T commandOrder | commandEvent](r *bufio.Reader) (T, error) {
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

// newCommandRequest checks what can be checked here. Handles are filled in
// later.
func (c *Command) newCommandRequest() (commandRequest, error) {
	var q commandRequest
	if c.Path == "" {
		return q, fmt.Errorf("%w: no program is named", fs.ErrInvalid)
	}
	err := cmp.Or(noNUL("the program's name", c.Path), noNUL("Dir", c.Dir), noNUL("SourceEnv", c.SourceEnv))
	if err != nil {
		return q, err
	}
	for i, a := range c.Args {
		if err := noNUL(fmt.Sprintf("argument %d", i), a); err != nil {
			return q, err
		}
		q.Args = append(q.Args, []byte(a))
	}
	for _, e := range c.Env {
		name, _, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			return q, fmt.Errorf("%w: %q in Env is not of the form NAME=value", fs.ErrInvalid, e)
		}
		if err := noNUL("the variable "+name, e); err != nil {
			return q, err
		}
		q.Env = append(q.Env, []byte(e))
	}
	if c.Pty != nil {
		p, err := c.Pty.wire()
		if err != nil {
			return q, err
		}
		if c.Stderr != nil && !sameWriter(c.Stdout, c.Stderr) {
			return q, fmt.Errorf("%w: with a Pty there is one output, which is Stdout", fs.ErrInvalid)
		}
		q.Pty = p
	}
	q.Path, q.Dir, q.SourceEnv = []byte(c.Path), []byte(c.Dir), []byte(c.SourceEnv)
	if c.ClearEnv {
		q.Flags |= commandClearEnv
	}
	if c.LoginEnv {
		q.Flags |= commandLoginEnv
	}
	if c.shell {
		q.Flags |= commandShell
	}
	if c.Stderr != nil && sameWriter(c.Stdout, c.Stderr) {
		q.Flags |= commandMerged
	}
	if c.KeepJobs {
		q.Flags |= commandKeepJobs
	}
	orDefault := func(d, def time.Duration) time.Duration {
		if d == 0 {
			return def
		}
		return d
	}
	q.WaitDelay = orDefault(c.WaitDelay, DefaultWaitDelay)
	q.KillDelay = orDefault(c.KillDelay, DefaultKillDelay)
	q.IdleTimeout = max(c.IdleTimeout, 0)
	if deadline, ok := c.ctx.Deadline(); ok {
		q.Timeout = max(time.Until(deadline), time.Microsecond)
	}
	return q, nil
}

func noNUL(what, s string) error {
	if strings.IndexByte(s, 0) < 0 {
		return nil
	}
	return fmt.Errorf("%w: %s has a NUL byte in it", fs.ErrInvalid, what)
}

// sameWriter compares writers, which may be of types that cannot be compared.
func sameWriter(a, b any) bool {
	defer func() { _ = recover() }()
	return a == b
}
