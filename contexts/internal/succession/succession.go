// Package succession is the way from package contexts/attach into package contexts:
// trees that take in processes which they did not start, and contexts that go on when
// their master is lost. None of it is for users.
//
// Package contexts sets Trees once, when it is initialised, to a value that has the methods
// of Interface. The linker keeps such a method only if the program calls it by that
// interface. So programs without package attach carry none of them.
package succession

import (
	"context"
	"io"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/core"
)

// Trees implements Interface[*contexts.Node, *contexts.Config], types that this
// package can't name. It is set by package contexts, and not changed afterwards.
var Trees any

// Interface has the functions of package contexts that package attach uses.
type Interface[Node, Config any] interface {
	// Enable makes this program one in which contexts may outlive their master. It
	// is for init functions: all copies of a program must agree.
	Enable()

	// Fingerprint is that of the table of functions, by which two processes know that
	// they are of the same program. It is zero before Init.
	Fingerprint() [32]byte

	// Adopt gives a process that has said hello a place below n, which must be the
	// local node. The session's link becomes the link to it, and the carrier is closed
	// with it. The process may do as much as any descendant.
	Adopt(ctx context.Context, n Node, label string, s *bootstrap.Session, c bootstrap.Carrier) (Node, error)

	// Enter makes this process a guest of the tree that w welcomes it to, and returns
	// the node of this process in it. A guest serves the tree functions with
	// AllowDescendants and no others, also to those above it; it starts no contexts,
	// and its log stays with cfg. When link is lost, all nodes of the tree are. Close
	// leaves the tree.
	Enter(w bootstrap.Welcome, link io.ReadWriteCloser, cfg Config) (Node, error)

	// Describe returns the tree of n for its next master, all but its age. n must be the local
	// node, and one hop from the master.
	Describe(n Node) (Tree, error)

	// Survive has the context in this process, whose node n is, go on when its parent
	// is lost, with all contexts below it. next is called then, and returns the link
	// to the next master, which has called TakeOver. The context ends when next fails.
	// The ctx of next ends with the context.
	//
	// Calls from the lost master are cancelled as those of any lost caller.
	Survive(n Node, next func(ctx context.Context) (io.ReadWriteCloser, error))

	// TakeOver makes this process the master of a tree whose root, until now, is at the
	// other end of the session's link, and returns the node of that root. The tree is
	// apart from any other: Self of the node is its master, and closing that closes it.
	TakeOver(ctx context.Context, cfg Config, t Tree, s *bootstrap.Session, c bootstrap.Carrier) (Node, error)

	// Releasable returns nil where Release of a child of the local context would let it
	// live, and an error that matches errors.ErrUnsupported where the tool by which it
	// was started would end it.
	Releasable(n Node) error

	// Release lets go of a child of the local context, which is Releasable, without
	// ending it. Its node is gone then, for the reason given.
	Release(n Node, reason error)
}

// Tree describes a tree to its next master.
type Tree struct {
	ID   [16]byte
	Root core.ID // the context that is the root now
	Path string  // of Root
	// Age is how many masters there were. All are context 0, and each gives out
	// IDs and handles that none before it could.
	Age uint64
}

// A Releaser is a carrier that can be closed without ending its far side.
type Releaser interface {
	// Releasable reports whether it can.
	Releasable() bool
	// Release has Close do so.
	Release()
}
