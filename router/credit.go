package router

import (
	"time"
)

// The windows of credit. Bytes are granted on consumption, not on receipt, so
// that what a receiver holds is bounded by what it granted.
const (
	// openWindow may be sent on a stream before any credit has come, in each
	// direction: the first words of a conversation need no round trip.
	openWindow = 16 * kib
	// firstWindow is what the first credit raises it to.
	firstWindow = 256 * kib
	// maxWindow is how far the window of one stream grows.
	maxWindow = 16 * mib
	// messageWindow may be sent of a split message before any credit.
	messageWindow = 256 * kib
	// transferWindow is what a split message may have under way once all of
	// it has been admitted.
	transferWindow = 4 * mib
	// freeFlight is what a sender may always have in flight, whatever the
	// send budget says. A receiver acknowledges at least every so many bytes,
	// or a sender that has no more than that would wait for ever.
	freeFlight = 64 * kib
)

// sendWindow is the sender's half of the credit of one direction. It is pure
// arithmetic: no lock, no clock.
type sendWindow struct {
	granted  uint64 // by the receiver, since the beginning
	sent     uint64
	arrived  uint64 // as the receiver says
	borrowed uint64 // from the send budget
}

// credit is what may be sent by the receiver's word.
func (w *sendWindow) credit() uint64 { return w.granted - w.sent }

// flight is what has not arrived at the receiver yet, and takes room in the
// contexts in between.
func (w *sendWindow) flight() uint64 { return w.sent - w.arrived }

// take counts up to n bytes as sent: as many as credit and budget allow.
// borrow takes up to so many bytes from the send budget and returns how many
// it got.
func (w *sendWindow) take(n uint64, borrow func(uint64) uint64) uint64 {
	n = min(n, w.credit())
	free := uint64(0)
	if own := w.flight() - min(w.flight(), w.borrowed); own < freeFlight {
		free = freeFlight - own
	}
	if n > free {
		got := borrow(n - free)
		w.borrowed += got
		n = free + got
	}
	w.sent += n
	return n
}

// untake is for bytes that were taken and then not sent.
func (w *sendWindow) untake(n uint64) { w.sent -= n }

// grant adds credit and returns what goes back to the send budget. It reports
// false for what no honest receiver says.
func (w *sendWindow) grant(more, arrived uint64) (back uint64, ok bool) {
	if w.granted+more < w.granted || arrived > w.flight() {
		return 0, false
	}
	w.granted += more
	w.arrived += arrived
	back = min(w.borrowed, arrived)
	w.borrowed -= back
	return back, true
}

// recvWindow is the receiver's half.
type recvWindow struct {
	window   uint64 // how much may be outstanding: granted and not yet consumed
	granted  uint64 // since the beginning
	received uint64
	consumed uint64
	told     uint64 // received, as the sender knows it

	// The round trip is the least time that bytes beyond the old limit took
	// to come after the limit had been raised.
	rtt        time.Duration
	probeLimit uint64 // 0: no probe under way
	probeSent  time.Time

	epochStart    time.Time // when so much as a window began to be consumed
	epochConsumed uint64
}

func newRecvWindow(window uint64) recvWindow {
	return recvWindow{window: window, granted: window}
}

// receive counts n bytes that came. It reports false if the sender had no
// credit for them.
func (w *recvWindow) receive(n uint64, now time.Time) bool {
	if n > w.granted-w.received {
		return false
	}
	w.received += n
	if w.probeLimit != 0 && w.received > w.probeLimit {
		if d := now.Sub(w.probeSent); w.rtt == 0 || d < w.rtt {
			w.rtt = max(d, 1)
		}
		w.probeLimit = 0
	}
	return true
}

// consume counts n bytes that were read. grow is asked for more room out of
// the receive budget, at most so many bytes, and returns how many it got. due
// tells that the credit is worth a frame.
func (w *recvWindow) consume(n uint64, now time.Time, grow func(uint64) uint64) (due bool) {
	w.consumed += n
	w.epochConsumed += n
	if w.epochStart.IsZero() {
		w.epochStart = now
	}
	if w.epochConsumed >= w.window {
		// A window that is used up within little more than a round trip is
		// what holds the sender up. A slow reader never gets here in time.
		if w.rtt > 0 && now.Sub(w.epochStart) < 2*w.rtt && w.window < maxWindow {
			w.window += grow(min(w.window, maxWindow-w.window))
		}
		w.epochStart, w.epochConsumed = now, 0
	}
	return w.due()
}

// due reports whether half of the window could be granted anew.
func (w *recvWindow) due() bool { return w.grantable() >= (w.window+1)/2 }

// open is what can be granted.
func (w *recvWindow) grantable() uint64 { return w.consumed + w.window - w.granted }

// unacknowledged reports whether the sender has to be told what has come,
// even if there is nothing to be granted.
func (w *recvWindow) unacknowledged() bool { return w.received-w.told >= freeFlight }

// next returns the credit to be sent, and takes it as sent.
func (w *recvWindow) next(now time.Time) (more, arrived uint64) {
	more, arrived = w.grantable(), w.received-w.told
	if more > 0 && w.probeLimit == 0 && w.granted > 0 {
		w.probeLimit, w.probeSent = w.granted, now
	}
	w.granted += more
	w.told = w.received
	return more, arrived
}
