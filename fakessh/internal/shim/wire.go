//go:build unix

package shim

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// The messages between the shim and the program are CBOR, each behind its length in four bytes,
// most significant first. The shim begins with a greeting, which has its standard descriptors
// along. Then it sends orders, and the program sends news. The last news ends the shim.

// Greeting is the first message of a shim. Arguments may have any bytes.
type Greeting struct {
	_          struct{} `cbor:",toarray"`
	Args       [][]byte
	Env        [][]byte // what SendEnv and TERM may want
	Terminals  uint8    // bit i: descriptor i is a terminal
	Rows, Cols uint16   // of the terminal, if there is one
	PID        int
	Dir        []byte // the working directory
}

// Order goes from the shim to the program.
type Order struct {
	_          struct{} `cbor:",toarray"`
	Signal     int      // 0: none, but a new size or a successor
	Rows, Cols uint16
	PID        int // of the process that is the shim from now on; 0: it is the same
}

// News comes from the program.
type News struct {
	_      struct{} `cbor:",toarray"`
	Kind   uint8
	Status int
	Text   []byte // for standard error, or the file
	File   []byte // where Text goes to; none: standard error
}

const (
	NewsExit        uint8 = iota // end with Status
	NewsNotice                   // show Text
	NewsInput                    // hand on the input of the terminal
	NewsRaw                      // the same, and the far side sees to echo and signals
	NewsPassOn                   // be the real ssh
	NewsCooked                   // the terminal as it was
	NewsFork                     // another process is to go on, which says so; end with Status
	NewsForkTelling              // the same, and it keeps standard error
	NewsOwns                     // remove the socket File if the program is gone
)

// The bounds of messages, in bytes. An argument vector is at most 2 MiB on
// Linux, unless the stack is unlimited, and that many arguments.
const (
	MaxGreeting = 8 << 20
	MaxMessage  = 64 << 10
	maxWords    = 2 << 20
)

// decoder allows as many arguments as there can be.
var decoder = func() cbor.DecMode {
	mode, err := cbor.DecOptions{MaxArrayElements: maxWords, MaxNestedLevels: 4}.DecMode()
	if err != nil {
		panic(err) // the options are wrong
	}
	return mode
}()

func Encode(v any) ([]byte, error) {
	b, err := cbor.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...), nil
}

func Receive(r *bufio.Reader, limit uint32, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > limit {
		return fmt.Errorf("a message of %d bytes, which is more than %d", size, limit)
	}
	// It allocates for bytes that have come, not for the length that was announced.
	b, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err != nil {
		return err
	}
	if len(b) < int(size) {
		return io.ErrUnexpectedEOF
	}
	return decoder.Unmarshal(b, v)
}

// Sender sends messages, from any goroutine.
type Sender struct {
	mu sync.Mutex
	W  io.Writer // set before the first message
}

func (s *Sender) Send(v any) error { return s.SendAndHold(v, func() error { return nil }) }

// SendAndHold sends a message, and no other one until wait has returned.
func (s *Sender) SendAndHold(v any, wait func() error) error {
	b, err := Encode(v)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err = s.W.Write(b); err != nil {
		return err
	}
	return wait()
}
