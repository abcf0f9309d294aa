package contexts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/contexts/internal/succession"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// trees implements succession.Interface, by which package attach calls these methods. A
// program that does not import attach carries none of them.
type trees struct{}

var _ succession.Interface[*Node, *Config] = trees{}

func init() { succession.Trees = trees{} }

// afterLoss is set by an init function of package attach: in all copies of programs that
// import it, and in no others.
var afterLoss struct {
	loseOthers func(l *local, e router.Event)
	onRoot     func(r *router.Router, root core.ID, body []byte)
}

func (trees) Enable() {
	afterLoss.loseOthers = (*local).loseOthers
	afterLoss.onRoot = (*router.Router).OnRoot
}

func (trees) Fingerprint() [32]byte { return functions.fingerprint }

func (trees) Adopt(ctx context.Context, n *Node, label string, s *bootstrap.Session, c bootstrap.Carrier) (*Node, error) {
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
	defer l.children.Release()
	child, err := l.adopt(ctx, label, bounds{}, s, c)
	if err != nil {
		return fail(err)
	}
	return child, nil
}

func (trees) Enter(w bootstrap.Welcome, link io.ReadWriteCloser, cfg *Config) (*Node, error) {
	if !initialized.Load() {
		return nil, &Error{Op: "enter", Err: ErrNotInitialized}
	}
	var x extra
	if err := core.Unmarshal(w.Extra, &x); err != nil || len(w.Ancestors) == 0 {
		return nil, &Error{Op: "enter", Kind: core.KindProtocol, Err: err}
	}
	c := cfg.withDefaults()
	c.Limits.Heartbeat, c.Limits.Missed = x.Heartbeat, x.Missed
	l := newLocal(place{id: w.ID, tree: w.Tree, path: w.Path, ancestors: w.Ancestors, guest: true}, c)
	parent := router.LinkConfig{Peer: w.Ancestors[0], Parent: true, Carrier: link}
	if _, err := l.router.Attach(context.Background(), parent); err != nil {
		_ = l.close()
		return nil, err
	}
	return l.selfNode, nil
}

// Each master of a tree has ranges of IDs and of handles of its own. Each call takes a
// handle: at a million calls each second these last for two weeks.
const (
	idsOfMaster     = 1 << 30
	handlesOfMaster = 1 << 40
)

func (trees) Describe(n *Node) (succession.Tree, error) {
	l := n.self
	if n.id != l.id || len(l.ancestors) != 1 || l.guest {
		return succession.Tree{}, fmt.Errorf("%w: only a context that is one hop from the master can go on without it", ErrRefused)
	}
	return succession.Tree{ID: l.tree, Root: l.id, Path: l.path}, nil
}

func (trees) TakeOver(ctx context.Context, cfg *Config, t succession.Tree, s *bootstrap.Session, c bootstrap.Carrier) (*Node, error) {
	d := cfg.withDefaults()
	first := core.Master + 1 + core.ID(t.Age)*idsOfMaster
	l := newLocal(place{
		id: core.Master, tree: t.ID, depth: d.MaxDepth, allowSiblings: d.AllowSiblings,
		block:       core.Block{First: first, N: idsOfMaster},
		firstHandle: core.FirstDynamic + core.Handle(t.Age)*handlesOfMaster,
	}, d)
	known := core.Block{First: core.Master + 1, N: uint64(first) - 1}
	n, err := l.attachChild(ctx, l.addNode(t.Root, core.Master, t.Path), l.children.TakeName(t.Path), known, s, c)
	if err != nil {
		_ = l.close()
		return nil, err
	}
	return n, nil
}

func (trees) Survive(n *Node, next func(ctx context.Context) (io.ReadWriteCloser, error)) {
	l := n.self
	l.successor.Store(&successor{func(reason error) *router.Link {
		l.router.BecomeRoot(reason)
		for {
			link, err := next(l.Ctx)
			if err != nil {
				return nil
			}
			parent, err := l.router.Attach(l.Ctx, router.LinkConfig{Peer: core.Master, Parent: true, Carrier: link})
			if err == nil {
				return parent
			}
			_ = link.Close()
		}
	}})
}

func (trees) Releasable(n *Node) error {
	l := n.self
	c := l.children.Get(n.id)
	if c == nil {
		return fmt.Errorf("%w: it is no child of %v", ErrRefused, l.selfNode)
	}
	if r, ok := c.Carrier.(succession.Releaser); !ok || !r.Releasable() {
		return fmt.Errorf("%w: the tool between it and %v would end it", errors.ErrUnsupported, l.selfNode)
	}
	return nil
}

func (trees) Release(n *Node, reason error) {
	c := n.self.children.Get(n.id)
	if c == nil {
		return
	}
	if r, ok := c.Carrier.(succession.Releaser); ok {
		r.Release()
	}
	c.Link.Close(reason)
	<-n.life.done
}

// successor is how a context gets its next master.
type successor struct {
	await func(reason error) *router.Link // returns nil if there will be none
}

// outlives reports whether the process goes on when the parent is lost.
func (l *local) outlives() bool { return l.guest || l.successor.Load() != nil }

// ownsProcess reports whether this process was started to be this context. If so, the
// processes that it has started end with it.
func (l *local) ownsProcess() bool { return l.id != core.Master && !l.guest }

// succeed waits for the link to the next master of a context that has lost its
// parent, and returns nil where there will be none.
func (l *local) succeed(reason error) *router.Link {
	if s := l.successor.Load(); s != nil && l.Ctx.Err() == nil {
		return s.await(reason)
	}
	return nil
}

// loseOthers notes that contexts are gone: all but this one and those for which e.Stays
// returns true. If the parent was lost, the contexts below this one stay.
func (l *local) loseOthers(e router.Event) {
	stays := e.Stays
	if stays == nil {
		stays = func(id core.ID) bool { return l.router.Relation(id) == router.RelationDescendant }
	}
	others := slices.Concat(l.nodes.ids(), l.calls.Callers(), l.chains.Callers())
	slices.Sort(others)
	for _, id := range slices.Compact(others) {
		if id != l.id && !stays(id) {
			l.nodeLost(id, e.Err)
		}
	}
}
