package contexts

import (
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// successor is how a context comes by its next master.
type successor struct {
	await func(reason error) *router.Link // nil: there will be none
}

// outlives tells whether the loss of the parent is not the end of the process.
func (l *local) outlives() bool { return l.guest || l.successor.Load() != nil }

// ownsProcess tells whether this process was started to be this context, so that
// all that it has started ends with it.
func (l *local) ownsProcess() bool { return l.id != core.Master && !l.guest }

// succession is what only programs have that can do without a parent: others are not
// to carry it. It is set before Init, and then in all copies of the program.
var succession struct {
	loseOthers func(l *local, e router.Event)
	onRoot     func(r *router.Router, root core.ID, body []byte)
}

// EnableSuccession makes this program one in which contexts may outlive what is
// above them. Package attach calls it from its init function.
func EnableSuccession() {
	succession.loseOthers = (*local).loseOthers
	succession.onRoot = (*router.Router).OnRoot
}

// succeed waits for the link to the next master of a context that has lost its
// parent, and returns nil where there will be none.
func (l *local) succeed(reason error) *router.Link {
	if s := l.successor.Load(); s != nil && l.ctx.Err() == nil {
		return s.await(reason)
	}
	return nil
}

// loseOthers notes that all contexts are gone but this one and those that stay:
// where the parent was lost, those below it.
func (l *local) loseOthers(e router.Event) {
	stays := e.Stays
	if stays == nil {
		stays = func(id core.ID) bool { return l.router.Relation(id) == router.Descendant }
	}
	others := make(map[core.ID]bool)
	l.nodeMu.Lock()
	for id := range l.nodes {
		others[id] = true
	}
	l.nodeMu.Unlock()
	l.callMu.Lock()
	for id := range l.callCount {
		others[id] = true
	}
	l.callMu.Unlock()
	l.chainMu.Lock()
	for id := range l.chainCount {
		others[id] = true
	}
	l.chainMu.Unlock()
	for id := range others {
		if id != l.id && !stays(id) {
			l.nodeLost(id, e.Err)
		}
	}
}
