package router

import (
	"fmt"
	"slices"

	"github.com/mitosis-go/mitosis/core"
)

// maxInfo bounds the information that is announced about one context, in bytes.
const maxInfo = 4 * kib

// routeMessage is the body of a frame to HandleRoute: contexts have joined or left.
type routeMessage struct {
	_      struct{} `cbor:",toarray"`
	Joined []routeEntry
	Left   []core.ID
	Why    []byte // an encoded error, where Left is not empty
}

type routeEntry struct {
	_      struct{} `cbor:",toarray"`
	ID     core.ID
	Parent core.ID
	Info   []byte
}

// leftPerFrame is the number of IDs, of nine bytes at most, that fit a frame next to a
// reason.
const leftPerFrame = 4096

// encode encodes a message of this package. All of these can be encoded.
func encode(v any) []byte {
	b, err := core.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// announce tells the parent of a new context, before any frame from it.
func (m *mux) announce(c *member) {
	parent := m.routes().parent
	if parent == nil {
		return
	}
	f := parent.control(core.HandleRoute, encode(routeMessage{Joined: []routeEntry{{ID: c.id, Parent: c.parent, Info: c.info}}}))
	m.toParent(parent, f)
}

func (m *mux) toParent(parent *Link, f *core.Frame) {
	switch parent.q.put(f, nil) {
	case taken:
	case full:
		f.Release()
		// The contexts above would have a wrong tree from here on.
		parent.fail(&core.Error{Op: "link", Kind: core.KindBusy, Err: fmt.Errorf("no room for an announcement: the parent does not read its link")})
	default:
		f.Release()
	}
}

// withdraw tells the parent which contexts have left, after their last frames.
func (m *mux) withdraw(gone []*member, lost idSet, reason error) {
	parent := m.routes().parent
	if parent == nil {
		return
	}
	var frames []*core.Frame
	forChunks(gone, func(ids []core.ID) {
		frames = append(frames, parent.control(core.HandleRoute, encode(routeMessage{Left: ids, Why: encodeReason(reason)})))
	})
	parent.q.putAfter(frames, func(k flowKey) bool { _, ok := lost[k.src]; return ok })
}

func forChunks(gone []*member, f func([]core.ID)) {
	for len(gone) > 0 {
		n := min(len(gone), leftPerFrame)
		ids := make([]core.ID, n)
		for i, c := range gone[:n] {
			ids[i] = c.id
		}
		f(ids)
		gone = gone[n:]
	}
}

// encodeReason encodes why contexts are gone. It leaves KindGone out, as the message itself
// says that they are gone.
func encodeReason(reason error) []byte {
	if e, ok := reason.(*core.Error); ok && e.Kind == core.KindGone && e.Err != nil {
		reason = e.Err
	}
	return core.EncodeErrorWithin(reason, 8*kib)
}

// onRoute takes an announcement of a child.
func (r *Router) onRoute(l *Link, body []byte) {
	var msg routeMessage
	if err := core.Unmarshal(body, &msg); err != nil {
		l.cutOff("its announcement of a route is malformed")
		return
	}
	r.do(func() {
		for _, e := range msg.Joined {
			r.mux.onJoined(l, e)
		}
		if len(msg.Left) > 0 {
			r.mux.onLeft(l, msg.Left, msg.Why)
		}
	})
}

// onJoined accepts a new context below a child. Its ID must be from a block that the child was
// given, and must never have been used.
func (m *mux) onJoined(l *Link, e routeEntry) {
	t := m.routes()
	parent := t.find(e.Parent)
	_, retired := l.mux.retired[e.ID]
	switch {
	case !l.mux.attached || l.parent:
		return
	case parent == nil || parent.link != l || !l.mux.blocks.contain(e.ID) || retired || t.find(e.ID) != nil:
		l.forged.Add(1)
		l.cutOff(fmt.Sprintf("it announced context %d, which is not for it to give out", e.ID))
		return
	case len(e.Info) > maxInfo || l.mux.infoBytes+len(e.Info) > m.r.limits.InfoBytes:
		l.cutOff("it announced more about the contexts below it than the quota allows")
		return
	}
	l.mux.infoBytes += len(e.Info)
	m.joined(&member{id: e.ID, parent: e.Parent, link: l, info: e.Info})
}

// onLeft takes the news that contexts below a child are lost.
func (m *mux) onLeft(l *Link, ids []core.ID, why []byte) {
	t := m.routes()
	known := slices.DeleteFunc(ids, func(id core.ID) bool {
		c := t.find(id)
		return c == nil || c.link != l || id == l.peer
	})
	// Contexts below a lost one are lost with it, listed or not.
	lost := m.families(known...)
	reason := core.DecodeError(why)
	m.left(lost, reason, &core.Error{Kind: core.KindGone, Err: reason})
}
