// Package door has the services by which processes that have joined a broker's tree use it, and by
// which the broker asks them. It knows no broker: a program that only shares its functions with one,
// such as a small agent, imports this package and carries no more.
package door

import (
	"context"
	"sync/atomic"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// OpenRequest asks for a connection. The caller chooses the number of the lease, which it has not used
// before, so that it can give the lease back although it has not waited for the answer.
type OpenRequest struct {
	Lease   uint64
	Hops    [][]byte // as connect.Encode has them
	Pool    string
	Prompts bool // the caller can be asked, by Ask
}

// OpenAnswer has the connection. The caller may use the node until it gives the lease back.
type OpenAnswer struct {
	Node *contexts.Node
}

// Broker is what a broker does for those who have joined its tree.
type Broker interface {
	Open(ctx context.Context, q OpenRequest) (OpenAnswer, error)
	Release(ctx context.Context, lease uint64) (struct{}, error)
}

// Guest is what a process that has joined does for the broker.
type Guest interface {
	Ask(ctx context.Context, p connect.Prompt) (connect.Secret, error)
	Tell(ctx context.Context, n connect.Notice) (struct{}, error)
}

// BrokerOf and GuestOf return what the local context of a tree is, or an error. A program that may be
// one sets them by an init function.
var (
	BrokerOf atomic.Pointer[func(self *contexts.Node) (Broker, error)]
	GuestOf  atomic.Pointer[func(self *contexts.Node) (Guest, error)]
)

func localOne[T any](of *atomic.Pointer[func(*contexts.Node) (T, error)]) func(context.Context, *contexts.Node) (T, error) {
	return func(_ context.Context, self *contexts.Node) (one T, err error) {
		if f := of.Load(); f != nil {
			return (*f)(self)
		}
		return one, contexts.ErrRefused
	}
}

// The services, in the context of the broker and in those of the processes that have joined.
var (
	broker = contexts.NewService("mitosis.broker", localOne(&BrokerOf))
	guest  = contexts.NewService("mitosis.broker.guest", localOne(&GuestOf))
)

// What is asked of a broker: a connection, and to take one back or give up one that is being opened.
// What a broker asks of a process: a secret of the person there, and to show a text. A process that
// has joined obeys nobody, so its door makes sure that it is the broker that asks.
var (
	Open    = contexts.NewMethod(broker, "open", Broker.Open, contexts.AllowDescendants)
	Release = contexts.NewMethod(broker, "release", Broker.Release, contexts.AllowDescendants)
	Ask     = contexts.NewMethod(guest, "ask", Guest.Ask, contexts.AllowDescendants)
	Tell    = contexts.NewMethod(guest, "tell", Guest.Tell, contexts.AllowDescendants)
)
