package router

import "github.com/mitosis-go/mitosis/core"

// verdict is the decision about a frame.
type verdict uint8

const (
	verdictRefuse  verdict = iota
	verdictLimited         // deliver with limited rights
	verdictFull            // deliver with full rights
	verdictBound           // its endpoint decides: a reply, a stream or a transfer is bound to one context, and refuses all others
)

// decide is the authority table for frames addressed to the local context.
// rel is the weaker of the relations of the frame's source and authority. adjacent says that
// its source is the peer of the link that it came over. Forged frames do not get here: the
// reverse-path check comes first.
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
// The local context has given a dynamic handle to the context that may answer there, so the
// relation does not matter. Gone with limited rights is not believed. It only says that its
// source wants to know when the local context is lost, which the routers between the two
// note.
func decide(rel Relation, adjacent bool, h core.Handle, f core.Flags) verdict {
	if !flagsFit(h, f) {
		return verdictRefuse
	}
	trusted := rel == RelationAncestor || rel == RelationSelf
	switch h {
	case core.HandleNone, core.HandleHello:
		return verdictRefuse
	case core.HandleMore:
		return verdictBound
	case core.HandleCall:
		switch {
		case trusted || rel == RelationGranted:
			return verdictFull
		case rel == RelationDescendant || rel == RelationPeer:
			return verdictLimited
		}
		return verdictRefuse
	case core.HandleLog:
		switch {
		case trusted:
			return verdictFull
		case rel == RelationDescendant:
			return verdictLimited
		}
		return verdictRefuse
	case core.HandleGone:
		switch rel {
		case RelationAncestor:
			return verdictFull
		case RelationDescendant, RelationGranted, RelationPeer:
			return verdictLimited
		}
		return verdictRefuse
	case core.HandleRoute, core.HandleIDs:
		if rel == RelationDescendant && adjacent {
			return verdictLimited
		}
		return verdictRefuse
	case core.HandlePing, core.HandlePong:
		if adjacent && (rel == RelationDescendant || rel == RelationAncestor) {
			return verdictLimited
		}
		return verdictRefuse
	}
	if h >= core.FirstDynamic {
		return verdictBound
	}
	if trusted {
		return verdictFull
	}
	return verdictRefuse
}

// flagsFit reports whether frames to a handle may have the flags.
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

// servedByRouter reports whether the router itself serves frames to h. Such a message is a
// single frame.
func servedByRouter(h core.Handle) bool {
	switch h {
	case core.HandleRoute, core.HandleGone, core.HandleIDs, core.HandlePing, core.HandlePong, core.HandleGrant, core.HandleRoot:
		return true
	}
	return false
}

// decideForward is the authority table for frames on their way through the
// local context. rel is the relation of the source to the destination: ancestor or descendant
// where the frame goes down or up. Otherwise the two are below different children, the
// local context is their lowest common ancestor, and nothing passes by default.
//
//	handle         up, down  granted  peer  answering  stranger
//	dynamic, More  yes       yes      yes   yes        -
//	Call, Gone     yes       yes      yes   -          -
//	Route, IDs, Ping,
//	Pong, Hello    -         -        -     -          -
//	any other      yes       -        -     -          -
func decideForward(rel Relation, h core.Handle) bool {
	switch h {
	case core.HandleNone, core.HandleRoute, core.HandleIDs, core.HandlePing, core.HandlePong, core.HandleHello:
		return false // between the two ends of one link only
	}
	answer := h >= core.FirstDynamic || h == core.HandleMore
	switch rel {
	case RelationAncestor, RelationDescendant:
		return true
	case RelationGranted, RelationPeer:
		return answer || h == core.HandleCall || h == core.HandleGone
	case RelationAnswering:
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

var strength = [...]int{RelationStranger: 0, RelationAnswering: 1, RelationPeer: 2, RelationDescendant: 3, RelationGranted: 4, RelationAncestor: 5, RelationSelf: 6}
