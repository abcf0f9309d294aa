package router

import (
	"time"
)

// The windows of credit. A receiver grants bytes when they are consumed and not when they
// arrive. So it never holds more than it has granted.
const (
	// openWindow is the credit of a new stream in each direction, so that the first bytes
	// need no round trip.
	openWindow = 16 * kib
	// firstWindow is the window after the first credit.
	firstWindow = 256 * kib
	// maxWindow bounds the window of one stream.
	maxWindow = 16 * mib
	// messageWindow is the credit of a new split message.
	messageWindow = 256 * kib
	// transferWindow is the window of a split message once all of it has been admitted.
	transferWindow = 4 * mib
	// freeFlight is the number of bytes that a sender may always have in flight, whatever
	// is left of the send budget. A receiver acknowledges at least every so many bytes:
	// otherwise a sender with no more than these would wait for ever.
	freeFlight = 64 * kib
)

// sendWindow is the sender's half of the credit of one direction. It is pure
// arithmetic: no lock, no clock.
type sendWindow struct {
	granted  uint64 // by the receiver, since the beginning
	sent     uint64
	arrived  uint64 // according to the receiver
	borrowed uint64 // from the send budget
}

// credit returns the number of bytes that the receiver still allows.
func (w *sendWindow) credit() uint64 { return w.granted - w.sent }

// flight returns the number of bytes that have not arrived at the receiver yet. They take
// room in the contexts in between.
func (w *sendWindow) flight() uint64 { return w.sent - w.arrived }

// take counts up to n bytes as sent: as many as credit and budget allow. It returns their
// number. borrow takes up to so many bytes from the send budget, and returns how many it got.
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

// untake undoes take, for bytes that were not sent in the end.
func (w *sendWindow) untake(n uint64) { w.sent -= n }

// grant adds credit, and returns the number of bytes that go back to the send budget. It
// reports false for numbers that no honest receiver sends.
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
	window   uint64 // bound of the bytes that are granted and not yet consumed
	granted  uint64 // since the beginning
	received uint64
	consumed uint64
	told     uint64 // received, according to the last credit

	// rtt is the shortest time between a credit and the first byte that needed it: the
	// round trip.
	rtt        time.Duration
	probeLimit uint64 // 0: no probe under way
	probeSent  time.Time

	epochStart    time.Time // when the current window of bytes began to be consumed
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

// consume counts n bytes that were read. grow takes up to so many bytes from the receive
// budget, and returns how many it got. due reports whether the credit is worth a frame.
func (w *recvWindow) consume(n uint64, now time.Time, grow func(uint64) uint64) (due bool) {
	w.consumed += n
	w.epochConsumed += n
	if w.epochStart.IsZero() {
		w.epochStart = now
	}
	if w.epochConsumed >= w.window {
		// If a window is used up within little more than a round trip, the window
		// limits the sender. With a slow reader it takes longer.
		if w.rtt > 0 && now.Sub(w.epochStart) < 2*w.rtt && w.window < maxWindow {
			w.window += grow(min(w.window, maxWindow-w.window))
		}
		w.epochStart, w.epochConsumed = now, 0
	}
	return w.due()
}

// due reports whether half of the window can be granted anew.
func (w *recvWindow) due() bool { return w.grantable() >= (w.window+1)/2 }

// grantable returns the number of bytes that can be granted.
func (w *recvWindow) grantable() uint64 { return w.consumed + w.window - w.granted }

// unacknowledged reports whether the sender has to be told how much has arrived, even if
// there is nothing to grant.
func (w *recvWindow) unacknowledged() bool { return w.received-w.told >= freeFlight }

// next returns the credit to be sent, and counts it as sent.
func (w *recvWindow) next(now time.Time) (more, arrived uint64) {
	more, arrived = w.grantable(), w.received-w.told
	if more > 0 && w.probeLimit == 0 && w.granted > 0 {
		w.probeLimit, w.probeSent = w.granted, now
	}
	w.granted += more
	w.told = w.received
	return more, arrived
}
