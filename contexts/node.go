package contexts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/core"
)

// A Node is the handle on one context of the tree; the local context has one, too.
// Any number of goroutines may use it at the same time.
//
// A Node may be part of an argument or a result. Its receiver can then call that
// context, as far as authority goes (docs/security.md). A Node of another tree can't
// travel: sending it is an error.
//
// Connect, Parent, Tree and Local return the same handle each time. A handle that came
// in a message is a copy. Two handles mean the same context if their IDs are equal.
type Node struct {
	// Immutable once the node is bound to the local context.
	self *local // the context in this process, by way of which all others are reached
	id   core.ID
	via  core.ID // the parent; the node's own ID where the parent is not known
	path string
	life *life
}

// life tells how a context ended. All copies of a handle share it.
type life struct {
	done chan struct{} // closed when the context is gone
	err  error         // the reason; set before done is closed
}

// ID returns the number of the context. The master has 0. A number is never given to a
// second context of the same tree.
func (n *Node) ID() core.ID { return n.id }

// String returns the path of hops from the master, for example
// "ssh:deploy@web1/sudo:root"; the master itself is "master".
func (n *Node) String() string {
	if n == nil {
		return "<nil node>"
	}
	if n.path == "" {
		return "master"
	}
	return n.path
}

// Parent returns the context from which this one was started. It returns nil for the
// master, and for a context of which this process knows only the ID.
func (n *Node) Parent() *Node {
	if n.self == nil || n.id == core.Master {
		return nil
	}
	return n.self.node(n.via)
}

// Local returns the local node of the tree that n belongs to. In a master that is the
// node that [Start] returned, in a child the node that [Self] returns. The zero Node
// belongs to no tree: Local returns nil.
func (n *Node) Local() *Node {
	if n == nil || n.self == nil {
		return nil
	}
	return n.self.selfNode
}

// Done returns a channel that is closed when the context has ended or can no longer be
// reached. That is final: no context comes back under the same ID.
func (n *Node) Done() <-chan struct{} { return n.life.done }

// Err returns nil as long as the context is there. Once Done is closed it returns the
// reason: an error that matches [ErrGone] if the link was lost, or [ErrClosed] if the
// context was closed from here.
func (n *Node) Err() error {
	select {
	case <-n.life.done:
		return n.life.err
	default:
		return nil
	}
}

// gone returns nil as long as the context is there. After that it returns the error of
// operations on the node: it matches ErrGone and wraps the reason.
func (n *Node) gone() error {
	reason := n.Err()
	if e, ok := reason.(*Error); ok {
		reason = e.Err // the caller puts the path in front
	}
	if reason == nil || errors.Is(reason, ErrGone) {
		return reason
	}
	return &Error{Kind: core.KindGone, Err: reason}
}

// Connect starts a child of this context by one hop, and returns when the child can be
// called. If the node is not the local one, its context makes the hop.
//
// ctx bounds all phases of the connecting. It does not bound the life of the child,
// which ends with Close or with its parent. If ctx has no deadline,
// Config.ConnectTimeout holds. If ctx ends when the child has just been made, the child
// is closed.
//
// Errors are *Error, with the path and the phase. Whatever the depth, errors.Is finds
// the classes of package connect in them ([connect.ErrPassword], [connect.ErrHostKey]
// and others). In a program that did not call Init the error is [ErrNotInitialized].
func (n *Node) Connect(ctx context.Context, m connect.Method) (*Node, error) {
	return n.connect(ctx, m, bounds{})
}

// ConnectPath makes several hops, each from the context that the one before started. It
// returns the last context: that of "ssh:web1/sudo" is root on web1. [connect.ParsePath]
// says how a path is written, and which packages have to be imported for it.
//
// An empty path is an error. Everything else is as in ConnectHops.
func (n *Node) ConnectPath(ctx context.Context, path string) (*Node, error) {
	hops, err := connect.ParsePath(path)
	if err != nil {
		return nil, &Error{Op: "connect", Path: n.String(), Err: err}
	}
	return n.ConnectHops(ctx, hops...)
}

// ConnectHops makes several hops, each from the context that the one before started, and
// returns the last context. Without a hop that is n.
//
// Each hop is made as by Connect. If one fails, the contexts of the hops before it are
// closed.
//
// The contexts on the way are the ancestors of the result: see Parent. Close of the
// result does not close them. Close of the first one closes all.
func (n *Node) ConnectHops(ctx context.Context, hops ...connect.Method) (*Node, error) {
	first, last := (*Node)(nil), n
	for _, m := range hops {
		next, err := last.Connect(ctx, m)
		if err != nil {
			if first != nil {
				_ = first.Close()
			}
			return nil, err
		}
		if last = next; first == nil {
			first = next
		}
	}
	return last, nil
}

func (n *Node) connect(ctx context.Context, m connect.Method, b bounds) (*Node, error) {
	if !initialized.Load() {
		return nil, &Error{Op: "connect", Path: n.String(), Err: ErrNotInitialized}
	}
	if m == nil {
		return nil, &Error{Op: "connect", Path: n.String(), Err: fmt.Errorf("no method given")}
	}
	if n.id == n.self.id {
		return n.self.connect(ctx, m, b)
	}
	last, err := connecting(ctx, n.self, n, m, b, connectFunc)
	if err != nil {
		return nil, err
	}
	if last.Node == nil {
		return nil, &Error{Op: "connect", Path: joinPath(n, m.Label()), Kind: core.KindProtocol}
	}
	return n.self.node(last.Node.id), nil
}

// Close ends the context and everything below it, and waits until that is done. Calls
// that run there are cancelled, and children are closed first. Processes that the
// context started get a SIGTERM and then a SIGKILL. Close of the local node closes the
// tree.
//
// If processes survive, the error names them. Closing a context that is gone is no error.
func (n *Node) Close() error {
	if n.id == n.self.id {
		return n.self.close()
	}
	return n.self.closeNode(n)
}

// Ping measures the time to the context and back, through all hops.
func (n *Node) Ping(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	_, err := pingFunc.Call(ctx, n, struct{}{})
	return time.Since(start), err
}

var pingFunc = NewFunc("mitosis.ping", func(context.Context, struct{}) (struct{}, error) {
	return struct{}{}, nil
}, AllowDescendants)

// wireNode is a node as it travels.
type wireNode struct {
	_      struct{} `cbor:",toarray"`
	ID     core.ID
	Parent core.ID
	Path   string
}

// MarshalCBOR implements cbor.Marshaler.
func (n *Node) MarshalCBOR() ([]byte, error) {
	if n == nil {
		return []byte{0xf6}, nil
	}
	return core.Marshal(wireNode{ID: n.id, Parent: n.via, Path: n.path})
}

// UnmarshalCBOR implements cbor.Unmarshaler. The decoder of the message binds the node
// to the local context: see local.bindNodes.
func (n *Node) UnmarshalCBOR(b []byte) error {
	var w wireNode
	if err := core.Unmarshal(b, &w); err != nil {
		return err
	}
	*n = Node{id: w.ID, via: w.Parent, path: w.Path}
	return nil
}

// nodes are the handles on contexts of one local context. A handle is kept as long as its
// context is there, so that Done works. The zero value has none.
type nodes struct {
	mu  sync.Mutex
	all map[core.ID]*Node
}

// add returns the handle on a context. It makes one if there is none.
func (t *nodes) add(self *local, id, via core.ID, path string) *Node {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.all[id]
	if n == nil {
		n = &Node{self: self, id: id, via: via, path: path, life: &life{done: make(chan struct{})}}
		if t.all == nil {
			t.all = make(map[core.ID]*Node)
		}
		t.all[id] = n
	}
	return n
}

// get returns the handle on a context, nil where there is none.
func (t *nodes) get(id core.ID) *Node {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[id]
}

// ids returns the contexts on which there is a handle.
func (t *nodes) ids() []core.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.all))
}

// lose ends the handle on a context, and forgets it unless it is kept.
func (t *nodes) lose(id core.ID, keep bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.all[id]
	if !keep {
		delete(t.all, id)
	}
	if n == nil || n.Err() != nil {
		return
	}
	// The reason of a loss further down comes from another router, as a text that matches
	// no class.
	if err == nil {
		err = ErrGone
	} else if !errors.Is(err, ErrClosed) && !errors.Is(err, ErrGone) {
		err = &Error{Kind: core.KindGone, Err: err}
	}
	lost := &Error{Op: "link", Path: n.String(), Kind: core.KindGone, Err: err}
	if errors.Is(err, ErrClosed) {
		lost.Kind = core.KindClosed
	}
	n.life.err = lost
	close(n.life.done)
}
