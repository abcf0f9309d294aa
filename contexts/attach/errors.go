package attach

import (
	"errors"

	"github.com/mitosis-go/mitosis/core"
)

// The conditions that a caller can act on, besides those of package contexts.
var (
	// ErrOtherUser: the process at the other end of the socket is not of the
	// same user.
	ErrOtherUser = errors.New("the process at the other end is another user's")
	// ErrExposed: others than the user could reach a socket in that directory, or
	// put another in its place.
	ErrExposed = errors.New("the directory of the socket is not the user's alone")
	// ErrPathTooLong: the path does not fit a socket's address. It does not
	// depend on what is there.
	ErrPathTooLong = errors.New("the path is too long for a unix socket")
	// ErrSecret: who wants to be master does not know the secret, or the context
	// that was found is not the one that was detached.
	ErrSecret = errors.New("the secret is wrong")
	// ErrOwned: the context has a master, or one that is lost and was not
	// noticed to be; the heartbeat notices within 45 s.
	ErrOwned = errors.New("the context has a master")
	// ErrDetached is why the node of a detached context is gone.
	ErrDetached = errors.New("the context was detached")
)

func init() {
	trees.Enable()
	core.RegisterSentinel(250, ErrOtherUser)
	core.RegisterSentinel(251, ErrSecret)
	core.RegisterSentinel(252, ErrOwned)
	core.RegisterSentinel(253, ErrDetached)
}
