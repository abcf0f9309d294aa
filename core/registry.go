package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"sync"
)

// registry has the errors that are recognised after a hop. Functions init fill it. The lock
// is for programs that register later all the same.
var registry struct {
	sync.RWMutex
	sentinels []sentinel
	types     []errorType
}

type sentinel struct {
	code uint64
	err  error
}

// errorType is one type of application errors.
type errorType struct {
	name   string
	find   func(error) (any, bool) // the first of the type in a chain
	decode func([]byte) (error, error)
}

// RegisterSentinel lets errors.Is find err after any number of hops. Codes travel, so a code
// keeps its meaning for ever. Codes 1 to 99 belong to this package, 100 to 199 to connect, 200
// to 299 to contexts, 300 to 399 to bootstrap, and those from 1000 on to applications. A
// duplicate code or error panics.
func RegisterSentinel(code uint64, err error) {
	registry.Lock()
	defer registry.Unlock()
	for _, s := range registry.sentinels {
		if s.code == code || s.err == err {
			panic(fmt.Sprintf("core: sentinel %d (%v) is registered already as %d (%v)", code, err, s.code, s.err))
		}
	}
	registry.sentinels = append(registry.sentinels, sentinel{code, err})
}

// RegisterErrorType lets errors.As find errors of type T after any number of hops. They arrive
// with the fields that CBOR encodes. The name must be unique, and the same in every copy of
// the program. A duplicate panics.
func RegisterErrorType[T error](name string) {
	t := errorType{
		name: name,
		find: func(err error) (any, bool) {
			var v T
			ok := errors.As(err, &v)
			return v, ok
		},
		decode: func(b []byte) (error, error) {
			var v T
			if err := Unmarshal(b, &v); err != nil {
				return nil, err
			}
			if any(v) == nil {
				return nil, ErrProtocol
			}
			return v, nil
		},
	}
	registry.Lock()
	defer registry.Unlock()
	for _, other := range registry.types {
		if other.name == name {
			panic(fmt.Sprintf("core: error type %q is registered already", name))
		}
	}
	registry.types = append(registry.types, t)
}

func init() {
	for code, err := range map[uint64]error{
		1: fs.ErrNotExist, 2: fs.ErrExist, 3: fs.ErrPermission, 4: io.EOF, 5: io.ErrUnexpectedEOF,
		6: context.Canceled, 7: context.DeadlineExceeded, 8: os.ErrDeadlineExceeded, 9: net.ErrClosed,
		10: exec.ErrNotFound, 11: fs.ErrInvalid, 12: fs.ErrClosed, 13: io.ErrClosedPipe, 14: io.ErrShortWrite, 15: errors.ErrUnsupported,
		20: ErrRefused, 21: ErrBusy, 22: ErrTooLarge, 23: ErrUnknownFunc, 24: ErrProtocol, 25: ErrClosed, 26: ErrTooDeep,
	} {
		RegisterSentinel(code, err)
	}
}
