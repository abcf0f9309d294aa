package contexts

import (
	"errors"

	"github.com/mitosis-go/mitosis/core"
)

// Error is the type of the errors of all operations of this package. It names the operation
// and the path of hops, and wraps the reason.
type Error = core.Error

// PanicError is the error of a call whose function panicked, with the stack of its
// goroutine.
type PanicError = core.PanicError

// These are the conditions on which a caller can act. ErrGone and ErrNoRoute come from the
// routers only: an error that a remote function returned never matches them.
var (
	ErrGone        = core.ErrGone        // the link to the context was lost, or the context ended
	ErrNoRoute     = core.ErrNoRoute     // no such context, or none any more; such errors match ErrGone, too
	ErrRefused     = core.ErrRefused     // the caller may not do that
	ErrBusy        = core.ErrBusy        // a quota or a queue is full
	ErrTooLarge    = core.ErrTooLarge    // the message is above Limits.MessageSize
	ErrUnknownFunc = core.ErrUnknownFunc // no function of that number
	ErrClosed      = core.ErrClosed      // closed at this end
	ErrTooDeep     = core.ErrTooDeep     // Config.MaxDepth, MaxChildren, or a bound of ManagedHostConfig reached

	// ErrNotInitialized means that the program's main does not begin with Init. A copy of
	// the program would run the whole of main at the far side.
	ErrNotInitialized = errors.New("contexts.Init was not called: make it the first statement of main (and of TestMain)")
	// ErrChainBroken is in the errors of calls that were skipped because an earlier call of
	// their chain had failed. They wrap the first failure, too.
	ErrChainBroken = errors.New("skipped: an earlier call of the chain failed")
	// ErrUnavailable means that a managed host can't be reached at the moment. Further
	// attempts will be made. The error wraps the reason of the last one.
	ErrUnavailable = errors.New("the host is away")
	// ErrNotStarted means that a service was started neither in the context nor in one of its
	// ancestors, or that it allows the context nothing there.
	ErrNotStarted = errors.New("the service is not started there, nor in a context above")
)

// errOtherTree is the error of handles that belong to no tree of this process, or to
// another one.
var errOtherTree = errors.New("the node is not part of a tree here")

func init() {
	core.RegisterSentinel(200, ErrNotInitialized)
	core.RegisterSentinel(201, ErrChainBroken)
	core.RegisterSentinel(202, ErrUnavailable)
	core.RegisterSentinel(203, ErrNotStarted)
}

// RegisterErrorType makes errors of type T arrive as T, with the fields that CBOR encodes, so
// that errors.As finds them at the caller. Call it from a package variable or an init
// function, so that every copy of the program does.
func RegisterErrorType[T error](name string) { core.RegisterErrorType[T](name) }
