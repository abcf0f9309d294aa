package contexts

import (
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/mitosis-go/mitosis/bootstrap/image"
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

// local is the context that this process is: the master or a child. All nodes point to
// it. It owns the router and gives each engine the functions of the others that it needs.
type local struct {
	// Immutable after newLocal.
	place
	*tree.Lifetime
	cfg      Config
	log      *slog.Logger
	router   *router.Router
	selfNode *Node
	logs     *logs.Hub        // in the master: receives records of all other contexts; nil elsewhere
	packed   *image.PackedDir // packed images of this user, for later programs; nil: none are kept

	// Each of these has a lock of its own. The lock of calls may be taken while that of
	// chains is held; no two others are held at once.
	level       slog.LevelVar // the least level of records that are sent or shown
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
	notices     noticeMeter // in the master: how many notices of descendants were shown
	sparing     sync.Map    // of core.ID: contexts below that know of a command with KeepJobs

	successor atomic.Pointer[successor] // nil: the context ends when its parent is lost
}

// place is the position of a local context in its tree, with the bounds that hold there.
// Immutable.
type place struct {
	id            core.ID
	tree          treeID
	path          string    // "" in the master
	ancestors     []core.ID // nearest first
	block         core.Block
	depth         int // how many hops there may be below this context
	allowSiblings bool
	maxContexts   int     // below this one; 0: any number
	budget        core.ID // the nearest ancestor that has such a bound; 0: none
	guest         bool    // the process was not started by the tree, but joined it
	firstHandle   core.Handle
	up            *upward // in a child; nil elsewhere
}

// upward is how a child reaches the master's log and the person there. Immutable.
type upward struct {
	records *logs.Sender // takes records and printed lines to the master
	output  *logs.Output // makes records of lines that are printed here
	prompt  bool         // the person at the master can be asked
	notify  bool         // the person at the master can be shown notices
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

// displayPath returns the path of this context, as people see it.
func (l *local) displayPath() string { return l.selfNode.String() }

// addNode returns the handle on a context. It makes one if there is none.
func (l *local) addNode(id, via core.ID, path string) *Node {
	return l.nodes.add(l, id, via, path)
}

// node returns the handle on a context. If this context has heard nothing of it, the
// handle has only the ID. If the context is gone, so is the node.
func (l *local) node(id core.ID) *Node {
	if n := l.nodes.get(id); n != nil {
		return n
	}
	if id == core.Master {
		return l.master()
	}
	if l.router != nil && l.router.Relation(id) == router.RelationStranger {
		n := &Node{self: l, id: id, via: id, path: "context " + formatID(id), life: &life{done: make(chan struct{}), err: ErrGone}}
		close(n.life.done)
		return n
	}
	return l.addNode(id, id, "context "+formatID(id))
}

// master returns the handle on the master. If the master was lost, and another one may
// take its place, the handle is a new one.
func (l *local) master() *Node { return l.addNode(core.Master, core.Master, "") }

// pathOf returns the name of a context for logs.
func (l *local) pathOf(id core.ID) string {
	if n := l.nodes.get(id); n != nil {
		return n.String()
	}
	return "context " + formatID(id) // no node is made here: it would keep this name
}

// onEvent learns from the router which contexts there are. It runs on the
// multiplexer goroutine and must not block.
func (l *local) onEvent(e router.Event) {
	switch e.Kind {
	case router.EventJoined:
		var info childInfo
		if err := core.Unmarshal(e.Info, &info); err != nil {
			info.Label = "context " + formatID(e.ID)
		}
		l.addNode(e.ID, e.Parent, joinPath(l.node(e.Parent), info.Label))
	case router.EventLeft:
		l.nodeLost(e.ID, e.Err)
	case router.EventParentLost:
		if l.outlives() {
			afterLoss.loseOthers(l, e)
			return
		}
		l.Lose()
	case router.EventOthersLeft:
		afterLoss.loseOthers(l, e)
	}
}

// nodeLost ends the handle on a lost context, and all calls from there.
func (l *local) nodeLost(id core.ID, err error) {
	// The ancestors of a guest are lost for good: their handles stay.
	l.nodes.lose(id, l.guest && l.router.Relation(id) == router.RelationAncestor, err)
	l.sparing.Delete(id)
	l.cancelCalls(id, ErrGone)
	l.chains.Drop(id)
	if l.logs != nil {
		l.logs.Drop(id)
	}
}

// bindNodes makes the nodes in a decoded value usable here.
func (l *local) bindNodes(nodes visitor, v reflect.Value) {
	if nodes == nil {
		return
	}
	nodes(v, func(n *Node) {
		if n.life != nil {
			return // it has been bound already
		}
		known := l.addNode(n.id, n.via, n.path)
		*n = *known
		if n.id != l.id {
			l.router.Interest(n.id)
		}
	})
}

// grantNodes is called before a value is sent to dst; p points to the value. It lets dst
// talk to the nodes in the value. Only an ancestor of both can grant that. If this
// context is none, the routers refuse the receiver's messages to the node.
//
// A node of another tree can't travel: its number means another context there.
func (l *local) grantNodes(dst core.ID, nodes visitor, p any) (err error) {
	if nodes == nil {
		return nil
	}
	grant := l.router.Relation(dst) == router.RelationDescendant
	nodes(reflect.ValueOf(p).Elem(), func(n *Node) {
		if n.self != l {
			err = fmt.Errorf("%v: %w", n, errOtherTree)
			return
		}
		if grant && n.id != dst && l.router.Relation(n.id) == router.RelationDescendant {
			if err := l.router.Grant(dst, n.id); err != nil {
				l.log.Warn("a node was passed on but cannot be reached from there", "node", n.String(), "to", l.pathOf(dst), "err", err)
			}
		}
	})
	return err
}
