package router

import (
	"io"
	"log/slog"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// Relation is the relation of another context to the local one.
type Relation uint8

const (
	RelationStranger   Relation = iota // none of the others: nothing is accepted from it
	RelationSelf                       // the local context
	RelationAncestor                   // the parent, its parent ... the master
	RelationDescendant                 // a child, its children ...
	RelationGranted                    // an ancestor of both has granted it to address the local context
	RelationPeer                       // any other context of a tree with AllowSiblings
	RelationAnswering                  // the local context has addressed it by a grant: it may answer, and nothing else
)

// Rights say how much of the local context a message may use.
type Rights uint8

const (
	RightsNone    Rights = iota
	RightsLimited        // services for all descendants: functions with AllowDescendants, logs
	RightsFull           // everything
)

// Message is a message that has arrived at a handle.
type Message struct {
	core.Header
	// Body is the whole body, even if it came in several frames. The message owns its
	// memory.
	Body []byte
	// Relation and Rights are those of Header.Src or Header.Auth, whichever has
	// less.
	Relation Relation
	Rights   Rights
	// Err is the decoded error of a dead message. If the context that was to answer is
	// lost, the local router makes it. Body is nil then.
	Err error

	from *Link // the link that it came over; nil: it is from the local context
}

// Config configures a Router.
type Config struct {
	Self      core.ID
	Ancestors []core.ID // nearest first; none in the master
	Block     core.Block
	// FirstHandle is the first handle that this router gives out; 0:
	// core.FirstDynamic. A master that takes the place of another one has its ID, and
	// must not use its handles again.
	FirstHandle core.Handle
	Limits      Limits
	// AllowSiblings lets contexts that are neither ancestor nor descendant of
	// each other exchange messages, with limited rights.
	AllowSiblings bool
	Log           *slog.Logger // nil: discard
	// PathOf returns the name of a context for the log; nil: the log has its ID. It
	// runs on the readers of links and must not block.
	PathOf func(core.ID) string

	// Handlers take the messages to well-known handles that the router does not serve
	// itself: Call, Shutdown, Log, Level. They run on the reader of a link, or on the
	// goroutine of a local sender, and must not block.
	Handlers map[core.Handle]func(Message)
	// OnEvent is called for each change of the tree, in order. It runs on the
	// multiplexer and must neither block nor call Attach, AllocID, Grant or Close.
	OnEvent func(Event)
	// OnRoot is (*Router).OnRoot in programs in which a context may become the root of
	// the rest of its tree. In other programs it is nil, so that their images don't
	// carry the code for it.
	OnRoot func(r *Router, root core.ID, body []byte)
}

// EventKind says what happened to a context.
type EventKind uint8

const (
	EventJoined     EventKind = iota + 1 // a descendant joined the tree
	EventLeft                            // a descendant is gone, or a context for which Interest was called
	EventParentLost                      // the link to the parent is lost: the local context has to end, or to be the root from now on
	EventOthersLeft                      // an ancestor is the root from now on: all contexts that are not below it are gone
)

// Event is one change of the tree.
type Event struct {
	Kind   EventKind
	ID     core.ID
	Parent core.ID // EventJoined: the context that started it
	Info   []byte  // EventJoined: LinkConfig.Info as given by the parent
	Err    error   // EventLeft, EventParentLost, EventOthersLeft: why

	Stays func(core.ID) bool // EventOthersLeft: reports whether a context is the root or below it
}

// LinkConfig describes a link to be attached.
type LinkConfig struct {
	// Peer is the context at the other end: the parent, or a child with an ID
	// from AllocID.
	Peer   core.ID
	Parent bool
	// Carrier is the byte pipe. The router closes it. Its Close must unblock Read and
	// Write, and may be called at any time and more than once.
	Carrier io.ReadWriteCloser
	// Info is announced to all ancestors together with the ID of a child. Routers do not
	// read it.
	Info []byte
	// Known is a block of IDs that an earlier master gave to the child. Contexts
	// below the child may have them.
	Known core.Block
}

// TryWriter is a Carrier that can write without waiting. Small frames are then written
// without another goroutine.
type TryWriter interface {
	// TryWrite writes as many bytes as it can without waiting, and returns their
	// number. The router writes the rest with Write, which returns the error if there
	// is one. It does not call the two at the same time.
	TryWrite(b []byte) int
}

// LinkStats are the counters of a link.
type LinkStats struct {
	BytesIn, BytesOut   uint64
	FramesIn, FramesOut uint64
	Queued              int64         // bytes that wait to be written
	Refused             uint64        // frames from this link that quotas or authority refused
	Forged              uint64        // frames from this link whose source or authority is not behind it
	RTT                 time.Duration // the last measured; zero before the first
}

// ContextInfo describes a descendant.
type ContextInfo struct {
	ID, Parent core.ID
	Info       []byte
}
