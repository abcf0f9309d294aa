package router

import (
	"io"
	"log/slog"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// Relation is what the sender of a message is to the local context.
type Relation uint8

const (
	RelationStranger   Relation = iota // none of the others: nothing is accepted from it
	RelationSelf                       // the local context
	RelationAncestor                   // the parent, its parent ... the master
	RelationDescendant                 // a child, its children ...
	RelationGranted                    // an ancestor of both allowed it to address the local context
	RelationPeer                       // any other context of a tree with AllowSiblings
	RelationAnswering                  // addressed by the local context by grant: it may answer, and nothing else
)

// Rights tell how much of the local context a message may use.
type Rights uint8

const (
	RightsNone    Rights = iota
	RightsLimited        // what was offered to everyone: functions with AllowDescendants, logs
	RightsFull           // anything
)

// Message is what arrives at a handle.
type Message struct {
	core.Header
	// Body is the message's own memory, whole even where it came in many
	// frames.
	Body []byte
	// Relation and Rights are those of the weaker of Header.Src and
	// Header.Auth.
	Relation Relation
	Rights   Rights
	// Err is the decoded error of a dead message, or the local router's own
	// where the context that was to answer is lost. Body is nil then.
	Err error

	from *Link // where it came in; nil for a message from the local context
}

// Config makes a Router.
type Config struct {
	Self      core.ID
	Ancestors []core.ID // nearest first; none in the master
	Block     core.Block
	// FirstHandle is where the handles begin that are given out here; 0:
	// core.FirstDynamic. A master that takes the place of another, under the same
	// ID, must not use one again.
	FirstHandle core.Handle
	Limits      Limits
	// AllowSiblings lets contexts that are neither ancestor nor descendant of
	// each other exchange messages, with limited rights.
	AllowSiblings bool
	Log           *slog.Logger // nil: discard
	// PathOf names a context in the log, where that is known; nil: by its ID. It runs
	// on the readers of links and must not block.
	PathOf func(core.ID) string

	// Handlers take the messages to well-known handles that the router does
	// not serve itself: Call, Shutdown, Log, Level. They run on the reader
	// goroutine of a link, or on that of a local sender, and must not block.
	Handlers map[core.Handle]func(Message)
	// OnEvent learns in order which contexts come and go. It runs on the
	// multiplexer goroutine and must neither block nor call Attach, AllocID,
	// Grant or Close.
	OnEvent func(Event)
	// OnRoot is (*Router).OnRoot in programs in which a context may become the
	// root of what is left of its tree. It is nil in other programs, so that their
	// images don't carry the code for it.
	OnRoot func(r *Router, root core.ID, body []byte)
}

// EventKind says what happened to a context.
type EventKind uint8

const (
	EventJoined     EventKind = iota + 1 // a descendant joined the tree
	EventLeft                            // a descendant, or a context that was of interest, is gone
	EventParentLost                      // the link to the parent is lost: the local context has to end, or is the root from now on
	EventOthersLeft                      // an ancestor is the root from now on: all contexts are gone that are not below it
)

// Event is one change of the tree.
type Event struct {
	Kind   EventKind
	ID     core.ID
	Parent core.ID // EventJoined: the context that started it
	Info   []byte  // EventJoined: LinkConfig.Info as given by the parent
	Err    error   // EventLeft, EventParentLost, EventOthersLeft: why

	Stays func(core.ID) bool // EventOthersLeft: whether a context is the root or below it
}

// LinkConfig describes a link to be attached.
type LinkConfig struct {
	// Peer is the context at the other end: the parent, or a child with an ID
	// from AllocID.
	Peer   core.ID
	Parent bool
	// Carrier is the byte pipe. Close must unblock Read and Write, may be
	// called more than once and at any time. The router closes it.
	Carrier io.ReadWriteCloser
	// Info is announced to all ancestors with the ID of a child, unread.
	Info []byte
	// Known is a block of IDs that an earlier master gave to the child. Contexts
	// below the child may have them.
	Known core.Block
}

// TryWriter is what a Carrier may be as well. It saves each small frame the
// way through another goroutine.
type TryWriter interface {
	// TryWrite writes as much as can be written without waiting for
	// anything, and returns the number of bytes. What it does not write is
	// written with Write, which also returns the error where there is one.
	// The router does not call it at the same time as Write.
	TryWrite(b []byte) int
}

// LinkStats counts what passed a link.
type LinkStats struct {
	BytesIn, BytesOut   uint64
	FramesIn, FramesOut uint64
	Queued              int64         // bytes that wait to be written
	Refused             uint64        // frames from this link that quotas or authority refused
	Forged              uint64        // frames from this link with an identity that is not behind it
	RTT                 time.Duration // the last measured; zero before the first
}

// ContextInfo is what is known of a descendant.
type ContextInfo struct {
	ID, Parent core.ID
	Info       []byte
}
