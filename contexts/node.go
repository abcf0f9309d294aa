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

// A Node is the handle on one context of the tree, this one included. It is
// safe for use by any number of goroutines, and may be part of an argument or
// a result: who receives it can call the context that it names, as far as
// authority goes (docs/security.md). A node of another tree can't: that is an
// error.
//
// Connect, Parent, Tree and Local return the same handle each time; one that came in
// a message is a copy. Whether two mean the same context is told by their IDs.
type Node struct {
	// Immutable once the node is bound to the local context.
	self *local // the context in this process, through which everything goes
	id   core.ID
	via  core.ID // the parent
	path string
	life *life
}

// life is what is known about the end of a context.
type life struct {
	done chan struct{} // closed when the context is gone
	err  error         // the reason; set before done is closed
}

// ID returns the context's number: 0 for the master, and never given to
// another context of the same tree.
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

// Parent returns the parent, from which the context was started; nil for the
// master and for contexts of which only the handle is known here.
func (n *Node) Parent() *Node {
	if n.self == nil || n.id == core.Master {
		return nil
	}
	return n.self.node(n.via)
}

// Local returns the local node of the tree that n belongs to: in a master the node
// that [Start] returned, in a child the one that the function [Local] returns. For the
// zero Node, which belongs to no tree, it returns nil.
func (n *Node) Local() *Node {
	if n == nil || n.self == nil {
		return nil
	}
	return n.self.selfNode
}

// Done is closed when the context has ended or can no longer be reached. That
// is final: a context does not come back under the same ID.
func (n *Node) Done() <-chan struct{} { return n.life.done }

// Err returns nil while the context is there, and the reason once Done is
// closed: an error that matches [ErrGone] where the link was lost, or
// [ErrClosed] where it was closed here.
func (n *Node) Err() error {
	select {
	case <-n.life.done:
		return n.life.err
	default:
		return nil
	}
}

// gone is nil while the context is there, and then what those get who still
// want something of it: an error that matches ErrGone, with the reason.
func (n *Node) gone() error {
	reason := n.Err()
	if e, ok := reason.(*Error); ok {
		reason = e.Err // the path is known to whoever asks
	}
	if reason == nil || errors.Is(reason, ErrGone) {
		return reason
	}
	return &Error{Kind: core.KindGone, Err: reason}
}

// Connect starts a child of this context by one hop, and returns when the
// child has said hello and can be called. If the node is not the local one,
// the method is sent there and executed there.
//
// ctx bounds the connecting, all of its phases included, and is not the life
// of the child: that ends with Close, or with its parent. Without a deadline
// in ctx, Config.ConnectTimeout holds. A child that was made when ctx had just ended
// is closed.
//
// Errors are *Error with the path and the phase, whatever the depth; the classes of package
// connect ([connect.ErrPassword], [connect.ErrHostKey] ...) are recognised by
// errors.Is whatever the depth. [ErrNotInitialized] is returned in a program
// that did not call Init.
func (n *Node) Connect(ctx context.Context, m connect.Method) (*Node, error) {
	return n.connect(ctx, m, bounds{})
}

// ConnectPath starts a context by several hops, one from the other, and returns the
// last: "ssh:web1/sudo" is a context of root on web1. [connect.ParsePath] says how a path
// is written, and which packages have to be imported for it. Each hop is made as by
// Connect; if one fails, those before it are closed again. An empty path is an error.
//
// The contexts on the way are the ancestors of the result, see Parent. Close of the
// result leaves them there; Close of the first ends all.
func (n *Node) ConnectPath(ctx context.Context, path string) (*Node, error) {
	hops, err := connect.ParsePath(path)
	if err != nil {
		return nil, &Error{Op: "connect", Path: n.String(), Err: err}
	}
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

// Close ends the context and everything below it, and waits for that: running
// calls are cancelled, its children closed first, processes that it started
// get a SIGTERM and then a SIGKILL. Closing the local node closes the tree.
// It returns an error that names the processes which survived, where any did.
// Closing a context that has gone already is no error.
func (n *Node) Close() error {
	if n.id == n.self.id {
		return n.self.close()
	}
	return n.self.closeNode(n)
}

// Ping measures the round trip to the context and back through all hops.
func (n *Node) Ping(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	_, err := pingFunc.Call(ctx, n, struct{}{})
	return time.Since(start), err
}

var pingFunc = NewFunc("mitosis.ping", func(context.Context, struct{}) (struct{}, error) {
	return struct{}{}, nil
}, AllowDescendants)

// wireNode is how a node travels.
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

// UnmarshalCBOR implements cbor.Unmarshaler. The node is bound to the local
// context by whoever decodes the message.
func (n *Node) UnmarshalCBOR(b []byte) error {
	var w wireNode
	if err := core.Unmarshal(b, &w); err != nil {
		return err
	}
	*n = Node{id: w.ID, via: w.Parent, path: w.Path}
	return nil
}

// nodes are the handles on contexts. They are kept for as long as their context is
// there or somebody waits on a handle, so that Done works. The zero value has none.
type nodes struct {
	mu  sync.Mutex
	all map[core.ID]*Node
}

// add makes the handle on a context, or returns the one there is.
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
	// The reason of a loss further down is what another router says, which
	// matches nothing.
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
