package router

import (
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// Limits are the quotas of a context. A zero field stands for its default.
type Limits struct {
	// MessageSize bounds one message, in bytes, sent or received: 128 MiB.
	MessageSize int
	// LinkQueue is the hard cap of what waits to be written to one link, in
	// bytes: 192 MiB. Credit keeps honest traffic far below it.
	LinkQueue int
	// ChildQueue is the cap of what one child, with all that is below it, has
	// waiting in all queues here, in bytes: 96 MiB.
	ChildQueue int
	// ControlQueue is the number of control frames that one link may have
	// waiting in all queues here: 16384. A link with more is closed.
	ControlQueue int
	// ControlRate is the number of frames addressed to this router itself
	// (routes, pings, requests for IDs) that a child may send per second, with
	// bursts of ten times as many: 2000. A child that sends more is cut off.
	ControlRate int
	// Violations is the number of frames that are forged, that authority does
	// not cover or whose handle was never given out, after which a child is cut
	// off: 10000.
	Violations int
	// Partials is the number of split messages that may be arriving over one
	// link at once: 4096.
	Partials int
	// PartialBytes bounds what arrived over one link of split messages that
	// the receive budget has not admitted yet, in bytes: 64 MiB.
	PartialBytes int
	// PartialIdle is the time after which a split message is given up that
	// could go on but does not: 60 s.
	PartialIdle time.Duration
	// MessageBudget is reserved by split messages that are being received, in
	// bytes: 64 MiB. A larger message has it for itself.
	MessageBudget int
	// ReceiveBudget is shared by the windows of all streams, in bytes: 64 MiB.
	// It also bounds their number: each needs 16 KiB at least.
	ReceiveBudget int
	// SendBudget bounds what streams and split messages have in flight, in
	// bytes: 64 MiB. Each may always have 64 KiB.
	SendBudget int
	// Streams is the number of streams that the contexts behind one child
	// link may have open to this context: 1024.
	Streams int
	// IDs is the number of IDs that one child gets for itself and all below it:
	// 65536.
	IDs int
	// InfoBytes bounds what a child announces about the contexts below it, in
	// bytes: 16 MiB.
	InfoBytes int
	// Pairs is the number of pairs of contexts below different children whose
	// traffic may pass here, counted for each of the children: 65536.
	Pairs int
	// Heartbeat is the time between two pings, and Missed the number of them
	// without a byte from the peer after which a link is lost: 15 s, 3.
	Heartbeat time.Duration
	Missed    int
	// Flush is the time that Close allows for what is queued: 250 ms.
	Flush time.Duration
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

func (l Limits) withDefaults() Limits {
	orInt := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	orTime := func(p *time.Duration, v time.Duration) {
		if *p <= 0 {
			*p = v
		}
	}
	orInt(&l.MessageSize, core.MaxMessage)
	orInt(&l.LinkQueue, 192*mib)
	orInt(&l.ChildQueue, 96*mib)
	orInt(&l.ControlQueue, 16384)
	orInt(&l.ControlRate, 2000)
	orInt(&l.Violations, 10000)
	orInt(&l.Partials, 4096)
	orInt(&l.PartialBytes, 64*mib)
	orTime(&l.PartialIdle, time.Minute)
	orInt(&l.MessageBudget, 64*mib)
	orInt(&l.ReceiveBudget, 64*mib)
	orInt(&l.SendBudget, 64*mib)
	orInt(&l.Streams, 1024)
	orInt(&l.IDs, 65536)
	orInt(&l.InfoBytes, 16*mib)
	orInt(&l.Pairs, 65536)
	orTime(&l.Heartbeat, 15*time.Second)
	orInt(&l.Missed, 3)
	orTime(&l.Flush, 250*time.Millisecond)
	return l
}
