package contexts

import (
	"errors"

	"github.com/mitosis-go/mitosis/core"
)

// Error is what every operation of this package returns: what was tried, at
// which path of hops, and why it did not work. It unwraps to the reason.
type Error = core.Error

// PanicError is how a panic of a remote function arrives: as the error of
// that call, with the stack of the goroutine that panicked.
type PanicError = core.PanicError

// The conditions a caller can act on. Those of the routers, ErrGone and
// ErrNoRoute, are made only by the routers themselves: an error that a remote
// function returned never matches them.
var (
	ErrGone        = core.ErrGone        // the link to the context was lost, or the context ended
	ErrNoRoute     = core.ErrNoRoute     // no such context, or none any more; such errors match ErrGone, too
	ErrRefused     = core.ErrRefused     // authority does not cover it
	ErrBusy        = core.ErrBusy        // a quota or a queue is full
	ErrTooLarge    = core.ErrTooLarge    // the message is above Limits.MessageSize
	ErrUnknownFunc = core.ErrUnknownFunc // no function of that number
	ErrClosed      = core.ErrClosed      // closed at this end
	ErrTooDeep     = core.ErrTooDeep     // Config.MaxDepth, MaxChildren, or a bound of ManagedHostConfig reached

	// ErrNotInitialized: the program's main does not begin with Init. A copy
	// of it would run the whole of main at the far side.
	ErrNotInitialized = errors.New("contexts.Init was not called: make it the first statement of main (and of TestMain)")
	// ErrChainBroken is never returned by itself; it wraps the first error
	// of a chain in the calls that were skipped because of it.
	ErrChainBroken = errors.New("skipped: an earlier call of the chain failed")
	// ErrUnavailable: a managed host can't be reached at the moment. It wraps the
	// reason of the last attempt, and others are going to be made.
	ErrUnavailable = errors.New("the host is away")
)

// errOtherTree is for handles that name nobody here.
var errOtherTree = errors.New("the node is not part of a tree here")

func init() {
	core.RegisterSentinel(200, ErrNotInitialized)
	core.RegisterSentinel(201, ErrChainBroken)
	core.RegisterSentinel(202, ErrUnavailable)
}

// RegisterErrorType makes errors of type T, with the fields that CBOR
// carries, arrive as T, so that errors.As finds them in the caller. Call it
// from a package variable or init, in every copy of the program.
func RegisterErrorType[T error](name string) { core.RegisterErrorType[T](name) }
