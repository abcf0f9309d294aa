package attach

import (
	"errors"

	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/internal/usersocket"
)

// The conditions that a caller can act on, besides those of package contexts.
var (
	// ErrOtherUser says that the process at the other end of the socket is another
	// user's.
	ErrOtherUser = usersocket.ErrOtherUser
	// ErrExposed says that other users can reach a socket in that directory, or put
	// another in its place. Give the directory to the user, with mode 0700.
	ErrExposed = usersocket.ErrExposed
	// ErrPathTooLong says that a path does not fit into the address of a socket, whatever
	// is there.
	ErrPathTooLong = usersocket.ErrPathTooLong
	// ErrSecret says that a process that wants to be the master does not know the secret,
	// or that the context on the socket is not the one that was detached.
	ErrSecret = errors.New("the secret is wrong")
	// ErrOwned says that the context has a master. It may be lost already: the heartbeat
	// notices that within 45 s, so that trying again makes sense.
	ErrOwned = errors.New("the context has a master")
	// ErrDetached is the reason for which the node of a detached context is gone.
	ErrDetached = errors.New("the context was detached")
)

func init() {
	trees.Enable()
	core.RegisterSentinel(250, ErrOtherUser)
	core.RegisterSentinel(251, ErrSecret)
	core.RegisterSentinel(252, ErrOwned)
	core.RegisterSentinel(253, ErrDetached)
}
