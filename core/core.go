// Package core has the things that both ends of a link must agree on: IDs, handles, the
// frame and its codec, limits, and the form in which errors travel. It starts no goroutine
// and, apart from the frame reader, does no I/O. So all of it is tested by tables and fuzzers.
//
// A link carries a CBOR sequence (RFC 8742). Every frame is a definite-length
// array of seven items
//
//	[dst, src, auth, handle, reply, flags, body]
//
// of which the first six are unsigned integers in shortest form and the last is a
// definite-length byte string of at most [MaxBody] bytes. docs/protocol.md describes the
// whole protocol.
package core

// ID names one context of a tree. An ID is never used twice in a tree.
type ID uint64

// Master is the root context: the program that the user started.
const Master ID = 0

// Handle is the number of a place in a context at which messages arrive.
type Handle uint64

// The well-known handles. Handles from FirstDynamic on are given out by each
// context for replies and streams.
const (
	HandleNone     Handle = 0  // in the reply field: no reply is wanted
	HandleCall     Handle = 1  // call a function; Cancel flag: stop the call named by Reply
	HandleRoute    Handle = 2  // child to parent: contexts that joined or left
	HandleGone     Handle = 3  // to contexts that have addressed others: these are lost
	HandleIDs      Handle = 4  // child to parent: a request for a further block of IDs
	HandlePing     Handle = 5  // heartbeat of a link
	HandlePong     Handle = 6  // answer to a ping
	HandleShutdown Handle = 7  // parent to child: end
	HandleLog      Handle = 8  // a log record, to the master
	HandleGrant    Handle = 9  // ancestor to common ancestor and target: two contexts may talk
	HandleLevel    Handle = 10 // parent to child: the log level from now on
	HandleHello    Handle = 11 // the first frame each way, before any routing
	HandleMore     Handle = 12 // a further frame of the split message that Reply names; Dead flag: its sender gave up
	HandleRoot     Handle = 13 // ancestor to descendant: it is the root of the rest of the tree

	FirstDynamic Handle = 1000
)

// Flags qualify a frame.
type Flags uint64

const (
	More   Flags = 1 << iota // further frames of this message follow
	First                    // first frame of a split message: the body begins with two CBOR unsigned integers, the message's whole size and its reply handle
	Dead                     // the body is an encoded Failure: an error reply, or the reset of a stream
	Credit                   // the body is two CBOR unsigned integers: bytes that the owner of Handle may send in addition, and bytes that have arrived from it
	End                      // half-close of a stream: no more data from here
	Cancel                   // stop the call whose reply handle is Reply

	// AllFlags has all flags of this version. A frame with another one is malformed.
	AllFlags = More | First | Dead | Credit | End | Cancel
)

const (
	// MaxBody bounds the body of a frame, in bytes.
	MaxBody = 64 << 10
	// MaxMessage is the default bound of a message of several frames, in bytes.
	MaxMessage = 128 << 20
)

// Header has the fields of a frame that routing reads.
type Header struct {
	Dst, Src ID
	Auth     ID // the context whose rights the message has
	Handle   Handle
	Reply    Handle // the sender's handle for the answer, or for its end of a stream
	Flags    Flags
}

// Block is a run of N unused IDs that starts at First.
type Block struct {
	_     struct{} `cbor:",toarray"`
	First ID
	N     uint64
}
