package contexts

import (
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/contexts/internal/call"
	"github.com/mitosis-go/mitosis/contexts/internal/command"
	"github.com/mitosis-go/mitosis/contexts/internal/forward"
	"github.com/mitosis-go/mitosis/contexts/internal/images"
	"github.com/mitosis-go/mitosis/contexts/internal/logs"
	"github.com/mitosis-go/mitosis/contexts/internal/mail"
	"github.com/mitosis-go/mitosis/contexts/internal/tree"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// local is the context that this process is: the master's or a child's. All
// nodes point to it. It owns the router, the children that were started from
// here, and the calls that run here.
type local struct {
	// Immutable after newLocal.
	place
	*tree.Lifetime
	cfg      Config
	log      *slog.Logger
	router   *router.Router
	selfNode *Node
	logs     *logs.Hub               // in the master: records of all other contexts; nil elsewhere
	packed   *bootstrap.PackedImages // of this user, for later programs; nil: none are kept

	// Each has a lock of its own. That of calls may be taken under that of chains; no
	// two others are held at once.
	level       slog.LevelVar // the level that records must have to be sent or shown
	nodes       nodes
	children    tree.Children
	calls       call.Calls
	chains      call.Chains
	mailboxes   mail.Boxes[*Node]
	mailStreams mail.Streams      // to mailboxes of others
	listeners   forward.Listeners // of others, at this host
	profiles    *command.Profiles // environments for commands
	images      *images.Store     // of this program, for children
	farSides    tree.FarSides     // at the end of hops from here
	leftovers   tree.Leftovers
	notices     noticeMeter // in the master: what descendants had shown
	sparing     sync.Map    // of core.ID: contexts below that were told to spare jobs

	successor atomic.Pointer[successor] // nil: the loss of the parent is the end
}

// place is what tells one local context from another.
type place struct {
	id            core.ID
	tree          treeID
	path          string    // "" in the master
	ancestors     []core.ID // nearest first
	block         core.Block
	depth         int // how many generations may still follow
	allowSiblings bool
	maxContexts   int     // below this one; 0: any number
	budget        core.ID // the nearest ancestor with such a bound; 0: none
	guest         bool    // the process is not the tree's own
	firstHandle   core.Handle
	up            *upward // in a child; nil elsewhere
}

// upward is what a child has for its master, besides the link. Immutable.
type upward struct {
	records *logs.Sender // what this context logs and prints
	output  *logs.Output // what is printed, on its way to records
	// Somebody at the master can be asked, and told.
	prompt, notify bool
}

func newLocal(at place, cfg Config) *local {
	l := &local{place: at, Lifetime: tree.NewLifetime(), cfg: cfg, log: cfg.Log}
	l.profiles = command.NewProfiles(l.Ctx)
	if len(at.ancestors) == 0 {
		l.logs = logs.NewHub(cfg.Log, cfg.Output)
	}
	if at.up != nil && at.up.prompt {
		l.cfg.Prompt = l.promptMaster
	}
	if at.up != nil && at.up.notify {
		l.cfg.Notify = l.notifyMaster
	}
	if len(at.ancestors) == 0 || at.guest {
		l.packed = images.Packed(l.cfg.PackedDir)
	}
	l.images = l.newImages()
	l.level.Set(cfg.LogLevel)
	via := at.id
	if len(at.ancestors) > 0 {
		via = at.ancestors[0]
	}
	l.selfNode = l.addNode(at.id, via, at.path)
	l.master()
	l.router = router.New(router.Config{
		Self: at.id, Ancestors: at.ancestors, Block: at.block, FirstHandle: at.firstHandle,
		Limits: cfg.Limits, AllowSiblings: at.allowSiblings, Log: cfg.Log, PathOf: l.pathOf,
		Handlers: map[core.Handle]func(router.Message){
			core.HandleCall:     l.onCall,
			core.HandleShutdown: l.onShutdown,
			core.HandleLog:      l.onLog,
			core.HandleLevel:    l.onLevel,
		},
		OnEvent: l.onEvent, OnRoot: afterLoss.onRoot,
	})
	return l
}

// displayPath is the path of this context as people see it.
func (l *local) displayPath() string { return l.selfNode.String() }

// addNode makes the handle on a context, or returns the one there is.
func (l *local) addNode(id, via core.ID, path string) *Node {
	return l.nodes.add(l, id, via, path)
}

// node returns the handle on a context, with what little is known of it where
// it was never heard of. The handle on one that is gone is a dead one.
func (l *local) node(id core.ID) *Node {
	if n := l.nodes.get(id); n != nil {
		return n
	}
	if id == core.Master {
		return l.master()
	}
	if l.router != nil && l.router.Relation(id) == router.Stranger {
		n := &Node{self: l, id: id, via: id, path: "context " + formatID(id), life: &life{done: make(chan struct{}), err: ErrGone}}
		close(n.life.done)
		return n
	}
	return l.addNode(id, id, "context "+formatID(id))
}

// master returns the handle on the master. Where that was lost and another may
// take its place, it is a new one.
func (l *local) master() *Node { return l.addNode(core.Master, core.Master, "") }

// pathOf names a context in logs.
func (l *local) pathOf(id core.ID) string {
	if n := l.nodes.get(id); n != nil {
		return n.String()
	}
	return "context " + formatID(id) // a node made now would keep that name
}

// onEvent learns from the router which contexts there are. It runs on the
// multiplexer goroutine and must not block.
func (l *local) onEvent(e router.Event) {
	switch e.Kind {
	case router.Joined:
		var info childInfo
		if err := core.Unmarshal(e.Info, &info); err != nil {
			info.Label = "context " + formatID(e.ID)
		}
		l.addNode(e.ID, e.Parent, joinPath(l.node(e.Parent), info.Label))
	case router.Left:
		l.nodeLost(e.ID, e.Err)
	case router.ParentLost:
		if l.outlives() {
			afterLoss.loseOthers(l, e)
			return
		}
		l.Lose()
	case router.OthersLeft:
		afterLoss.loseOthers(l, e)
	}
}

// nodeLost ends a handle and what was going on with the context.
func (l *local) nodeLost(id core.ID, err error) {
	// The ancestors of a guest are lost for good: their handles stay.
	l.nodes.lose(id, l.guest && l.router.Relation(id) == router.Ancestor, err)
	l.sparing.Delete(id)
	l.cancelCalls(id, ErrGone)
	l.chains.Drop(id)
	if l.logs != nil {
		l.logs.Drop(id)
	}
}

// bind makes the nodes in a decoded value usable here.
func (l *local) bind(nodes visitor, v reflect.Value) {
	if nodes == nil {
		return
	}
	nodes(v, func(n *Node) {
		if n.life != nil {
			return // it did not come from the wire
		}
		known := l.addNode(n.id, n.via, n.path)
		*n = *known
		if n.id != l.id {
			l.router.Interest(n.id)
		}
	})
}

// offer lets dst talk to the nodes in the value on its way there that p points to. Only
// an ancestor of both can grant that; for others the routers refuse it, which
// is what the receiver finds out when it tries. A node of another tree can't
// travel: its number means somebody else there.
func (l *local) offer(dst core.ID, nodes visitor, p any) (err error) {
	if nodes == nil {
		return nil
	}
	grant := l.router.Relation(dst) == router.Descendant
	nodes(reflect.ValueOf(p).Elem(), func(n *Node) {
		if n.self != l {
			err = fmt.Errorf("%v: %w", n, errOtherTree)
			return
		}
		if grant && n.id != dst && l.router.Relation(n.id) == router.Descendant {
			if err := l.router.Grant(dst, n.id); err != nil {
				l.log.Warn("a node was passed on but cannot be reached from there", "node", n.String(), "to", l.pathOf(dst), "err", err)
			}
		}
	})
	return err
}
