package core

import (
	"errors"
	"strings"
)

// Kind classifies an error. Kinds travel: they are append only.
type Kind uint64

const (
	KindOther       Kind = iota
	KindNoRoute          // no such context, or none any more
	KindGone             // the link to the context was lost
	KindRefused          // the sender has no right to it
	KindBusy             // a quota or a queue is full
	KindTooLarge         // above a size limit
	KindUnknownFunc      // no function of that number
	KindPanic            // the function panicked
	KindProtocol         // malformed, or not allowed in this place
	KindCanceled         // given up by the caller
	KindDeadline         // took longer than allowed
	KindClosed           // closed in an orderly way
	KindTooDeep          // too many contexts, or too many hops
	KindConnect          // a hop could not be made
	kindEnd
)

// The conditions that a caller can act on. errors.Is finds the sentinel of its kind in an
// [*Error].
//
// Only routers make ErrNoRoute and ErrGone. An error that a remote function returns never
// matches them, even if it did so there, because the link to that function is not lost.
var (
	ErrNoRoute     = errors.New("no route to the context")
	ErrGone        = errors.New("the context is gone")
	ErrRefused     = errors.New("refused: the sender has no right to it")
	ErrBusy        = errors.New("busy: a quota or queue is full")
	ErrTooLarge    = errors.New("too large")
	ErrUnknownFunc = errors.New("unknown function")
	ErrProtocol    = errors.New("protocol violation")
	ErrClosed      = errors.New("closed")
	ErrTooDeep     = errors.New("too many contexts or hops")
)

// kindSentinels is nil where a kind has no sentinel.
var kindSentinels = [kindEnd]error{
	KindNoRoute: ErrNoRoute, KindGone: ErrGone, KindRefused: ErrRefused, KindBusy: ErrBusy,
	KindTooLarge: ErrTooLarge, KindUnknownFunc: ErrUnknownFunc, KindProtocol: ErrProtocol,
	KindClosed: ErrClosed, KindTooDeep: ErrTooDeep,
}

func (k Kind) sentinel() error {
	if k < kindEnd {
		return kindSentinels[k]
	}
	return nil
}

// IsLink reports whether only routers make errors of the kind.
func (k Kind) IsLink() bool { return k == KindNoRoute || k == KindGone }

// Error says which operation failed, in which context, and why.
type Error struct {
	Op   string // "call disk.free", "connect"; may be empty
	Path string // of the context; may be empty
	Kind Kind
	Err  error // the reason; nil: the kind is the reason
}

// Error implements error: "op path: reason".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Path != "" {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(e.Path)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	sentinel := e.Kind.sentinel()
	switch {
	case e.Err == nil && sentinel == nil:
		b.WriteString("unknown error")
	case e.Err == nil:
		b.WriteString(sentinel.Error())
	case sentinel != nil && !errors.Is(e.Err, sentinel):
		b.WriteString(sentinel.Error())
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	default:
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether time ran out. Many callers look for this method at the outermost
// error only, as they do with errors of package net.
func (e *Error) Timeout() bool { return e.Kind == KindDeadline || isTimeout(e.Err) }

// Temporary is there for net.Error. It returns the same as Timeout, because no other failure
// of a hop passes by itself.
func (e *Error) Temporary() bool { return e.Timeout() }

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// Is reports whether target is the sentinel of the error's kind. KindNoRoute matches ErrGone
// as well: there is no route to a context that is gone, since IDs are never used twice.
func (e *Error) Is(target error) bool {
	s := e.Kind.sentinel()
	return s != nil && target == s || e.Kind == KindNoRoute && target == ErrGone
}

// PanicError is the error of a call whose remote function has panicked.
type PanicError struct {
	Value string // the argument of panic, as fmt prints it
	Stack string // of the goroutine that panicked

	places []int64 // of its frames, where Stack lacks their lines
}

// Error implements error, without the stack.
func (e *PanicError) Error() string { return "panic: " + e.Value }
