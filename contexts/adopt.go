package contexts

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// What is in this file are the joints between trees and processes that they did
// not start. Package contexts/attach is made of them; a program that does not
// import it has none of it in its image.

// Fingerprint is that of the table of functions, by which two processes know that
// they are of the same program. It is zero before Init.
func Fingerprint() [32]byte { return table.fingerprint }

// Adopt gives a process that has said hello a place below n, which must be the
// local node. The session's link becomes the link to it, and the carrier is closed
// with it. What the process may do is what any descendant may.
func Adopt(ctx context.Context, n *Node, label string, s *bootstrap.Session, c bootstrap.Carrier) (*Node, error) {
	l := n.self
	fail := func(err error) (*Node, error) {
		return nil, &Error{Op: "adopt", Path: joinPath(n, label), Err: err}
	}
	if n.id != l.id {
		return fail(ErrRefused)
	}
	if err := l.reserve(); err != nil {
		return fail(err)
	}
	defer func() {
		l.childMu.Lock()
		defer l.childMu.Unlock()
		l.connecting--
	}()
	child, err := l.adopt(ctx, label, bounds{}, s, c)
	if err != nil {
		return fail(err)
	}
	return child, nil
}

// Enter makes this process a guest of the tree that w welcomes it to, and returns
// the node of this process in it. A guest serves the tree functions with
// AllowDescendants and no others, also to those above it; it starts no contexts,
// and its log stays with cfg. When link is lost, all nodes of the tree are. Close
// leaves the tree.
func Enter(w bootstrap.Welcome, link io.ReadWriteCloser, cfg *Config) (*Node, error) {
	if !initialized.Load() {
		return nil, &Error{Op: "enter", Err: ErrNotInitialized}
	}
	var x extra
	if err := core.Unmarshal(w.Extra, &x); err != nil || len(w.Ancestors) == 0 {
		return nil, &Error{Op: "enter", Kind: core.KindProtocol, Err: err}
	}
	c := cfg.withDefaults()
	c.Limits.Heartbeat, c.Limits.Missed = x.Heartbeat, x.Missed
	l := newLocal(identity{id: w.ID, tree: w.Tree, path: w.Path, ancestors: w.Ancestors, guest: true}, c)
	parent := router.LinkConfig{Peer: w.Ancestors[0], Parent: true, Carrier: link}
	if _, err := l.router.Attach(context.Background(), parent); err != nil {
		_ = l.close()
		return nil, err
	}
	return l.selfNode, nil
}

// Heritage is what the next master of a tree needs to know of it.
type Heritage struct {
	Tree [16]byte
	ID   core.ID // of the context that is the root of what is left
	Path string  // its path
	// Age is how many masters there were. All are context 0, and each gives out
	// IDs and handles that none before it could.
	Age uint64
}

// The ranges of which each master of a tree has one of its own. A handle is taken
// for each call: at a million each second these last for two weeks.
const (
	idsOfMaster     = 1 << 30
	handlesOfMaster = 1 << 40
)

// Testament returns what the next master needs to know of the tree of n, but for
// its age. n must be the local node, and one hop from the master.
func Testament(n *Node) (Heritage, error) {
	l := n.self
	if n.id != l.id || len(l.ancestors) != 1 || l.guest {
		return Heritage{}, fmt.Errorf("%w: only a context that is one hop from the master can go on without it", ErrRefused)
	}
	return Heritage{Tree: l.tree, ID: l.id, Path: l.path}, nil
}

// Inherit makes this process the master of a tree whose root, until now, is at the
// other end of the session's link, and returns the node of that. The tree is one of
// its own: Self of the node is its master, and closing that closes it.
func Inherit(ctx context.Context, cfg *Config, h Heritage, s *bootstrap.Session, c bootstrap.Carrier) (*Node, error) {
	d := cfg.withDefaults()
	first := core.Master + 1 + core.ID(h.Age)*idsOfMaster
	l := newLocal(identity{
		id: core.Master, tree: h.Tree, depth: d.MaxDepth, allowSiblings: d.AllowSiblings,
		block:       core.Block{First: first, N: idsOfMaster},
		firstHandle: core.FirstDynamic + core.Handle(h.Age)*handlesOfMaster,
	}, d)
	l.logs = newLogHub(l)
	known := core.Block{First: core.Master + 1, N: uint64(first) - 1}
	n, err := l.take(ctx, l.addNode(h.ID, core.Master, h.Path), h.Path, known, s, c)
	if err != nil {
		_ = l.close()
		return nil, err
	}
	return n, nil
}

// Outlive has the context in this process, whose node n is, go on when its parent
// is lost, all that is below it included. next is called then; what it returns is
// the link to the next master, which has done its part by Inherit. The context ends
// when next fails. The ctx of next ends with the context.
//
// Calls from the lost master are cancelled as those of any lost caller.
func Outlive(n *Node, next func(ctx context.Context) (io.ReadWriteCloser, error)) {
	l := n.self
	l.successor.Store(&successor{func(reason error) *router.Link {
		l.router.BecomeRoot(reason)
		for {
			link, err := next(l.ctx)
			if err != nil {
				return nil
			}
			parent, err := l.router.Attach(l.ctx, router.LinkConfig{Peer: core.Master, Parent: true, Carrier: link})
			if err == nil {
				return parent
			}
			_ = link.Close()
		}
	}})
}

// A Releaser is a carrier that can be closed without that being the end of what it
// leads to.
type Releaser interface {
	// Releasable tells whether it can.
	Releasable() bool
	// Release has Close do so.
	Release()
}

// Releasable returns nil where Release of a child of the local context would let it
// live, and an error that matches errors.ErrUnsupported where the tool by which it
// was started would end it.
func Releasable(n *Node) error {
	l := n.self
	l.childMu.Lock()
	c := l.children[n.id]
	l.childMu.Unlock()
	if c == nil {
		return fmt.Errorf("%w: it is no child of %v", ErrRefused, l.selfNode)
	}
	if r, ok := c.carrier.(Releaser); !ok || !r.Releasable() {
		return fmt.Errorf("%w: the tool between it and %v would end it", errors.ErrUnsupported, l.selfNode)
	}
	return nil
}

// Release lets go of a child of the local context, which is Releasable, without
// ending it. Its node is gone then, for the reason given.
func Release(n *Node, reason error) {
	l := n.self
	l.childMu.Lock()
	c := l.children[n.id]
	l.childMu.Unlock()
	if c == nil {
		return
	}
	if r, ok := c.carrier.(Releaser); ok {
		r.Release()
	}
	c.link.Close(reason)
	<-n.life.done
}
