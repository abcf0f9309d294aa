package router

import "github.com/mitosis-go/mitosis/core"

// Verdict is what the authority table says of a frame.
type Verdict uint8

const (
	Refuse       Verdict = iota
	AllowLimited         // deliver with limited rights
	AllowFull            // deliver with full rights
	AllowBound           // up to what it is addressed to: a reply, a stream or a transfer is bound to one context, and refuses all others
)

// Decide is the authority table for frames addressed to the local context.
// rel is the weaker of the relations of the frame's source and authority;
// adjacent tells that its source is the peer of the link it came over.
// Forged frames do not get here: the reverse-path check comes first.
//
//	handle          self   ancestor  descendant  granted  peer     stranger
//	dynamic, More   bound  bound     bound       bound    bound    bound
//	Call            full   full      limited     full     limited  -
//	Log             full   full      limited     -        -        -
//	Gone            -      full      limited     limited  limited  -
//	Shutdown, Root,
//	Level, Grant    full   full      -           -        -        -
//	Route, IDs      -      -         adjacent    -        -        -
//	Ping, Pong      -      adjacent  adjacent    -        -        -
//	Hello, None     -      -         -           -        -        -
//	any other       full   full      -           -        -        -
//
// A dynamic handle was given by the local context to the one that may answer
// there; having no relation to it is no reason to refuse the answer. Gone with
// limited rights is not believed: it only says that its source wants to know
// when the local context is lost, which the routers between the two note.
func Decide(rel Relation, adjacent bool, h core.Handle, f core.Flags) Verdict {
	if !flagsFit(h, f) {
		return Refuse
	}
	trusted := rel == Ancestor || rel == Self
	switch h {
	case core.HandleNone, core.HandleHello:
		return Refuse
	case core.HandleMore:
		return AllowBound
	case core.HandleCall:
		switch {
		case trusted || rel == Granted:
			return AllowFull
		case rel == Descendant || rel == Peer:
			return AllowLimited
		}
		return Refuse
	case core.HandleLog:
		switch {
		case trusted:
			return AllowFull
		case rel == Descendant:
			return AllowLimited
		}
		return Refuse
	case core.HandleGone:
		switch rel {
		case Ancestor:
			return AllowFull
		case Descendant, Granted, Peer:
			return AllowLimited
		}
		return Refuse
	case core.HandleRoute, core.HandleIDs:
		if rel == Descendant && adjacent {
			return AllowLimited
		}
		return Refuse
	case core.HandlePing, core.HandlePong:
		if adjacent && (rel == Descendant || rel == Ancestor) {
			return AllowLimited
		}
		return Refuse
	}
	if h >= core.FirstDynamic {
		return AllowBound
	}
	if trusted {
		return AllowFull
	}
	return Refuse
}

// flagsFit tells whether a handle knows the flags at all.
func flagsFit(h core.Handle, f core.Flags) bool {
	switch {
	case h >= core.FirstDynamic:
		// Only the first frame of a split message is sent to its handle.
		return f&core.Cancel == 0 && (f&core.More != 0) == (f&core.First != 0)
	case h == core.HandleMore:
		return f&^(core.More|core.Dead|core.Cancel) == 0
	case f&(core.Dead|core.Credit|core.End) != 0:
		return false
	case f&core.Cancel != 0:
		return h == core.HandleCall && f == core.Cancel
	case f != 0:
		return f == core.First|core.More && !servedByRouter(h)
	}
	return true
}

// servedByRouter reports whether frames to h are for the router itself. They
// fit one frame.
func servedByRouter(h core.Handle) bool {
	switch h {
	case core.HandleRoute, core.HandleGone, core.HandleIDs, core.HandlePing, core.HandlePong, core.HandleGrant, core.HandleRoot:
		return true
	}
	return false
}

// DecideForward is the authority table for frames on their way through the
// local context. rel is what the source is to the destination: Ancestor or
// Descendant where the frame goes down or up; otherwise the two are below
// different children, the local context is their lowest common ancestor, and
// nothing passes by default.
//
//	handle         up, down  granted  peer  answering  stranger
//	dynamic, More  yes       yes      yes   yes        -
//	Call, Gone     yes       yes      yes   -          -
//	Route, IDs, Ping,
//	Pong, Hello    -         -        -     -          -
//	any other      yes       -        -     -          -
func DecideForward(rel Relation, h core.Handle) bool {
	switch h {
	case core.HandleNone, core.HandleRoute, core.HandleIDs, core.HandlePing, core.HandlePong, core.HandleHello:
		return false // between the two ends of one link only
	}
	answer := h >= core.FirstDynamic || h == core.HandleMore
	switch rel {
	case Ancestor, Descendant:
		return true
	case Granted, Peer:
		return answer || h == core.HandleCall || h == core.HandleGone
	case Answering:
		return answer
	}
	return false
}

// weaker returns the relation that allows less.
func weaker(a, b Relation) Relation {
	if strength[a] <= strength[b] {
		return a
	}
	return b
}

var strength = [...]int{Stranger: 0, Answering: 1, Peer: 2, Descendant: 3, Granted: 4, Ancestor: 5, Self: 6}
