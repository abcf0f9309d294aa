package router

import (
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// Limits are the quotas of a context. A zero field stands for its default.
type Limits struct {
	// MessageSize bounds one message, in bytes, sent or received: 128 MiB.
	MessageSize int
	// LinkQueue bounds the frames that wait to be written to one link, in bytes:
	// 192 MiB. Credit keeps honest traffic far below it.
	LinkQueue int
	// ChildQueue bounds the frames of one child, and of all contexts below it, that wait
	// in all queues here, in bytes: 96 MiB.
	ChildQueue int
	// ControlQueue bounds the number of control frames of one link that wait in all
	// queues here: 16384. A link with more is closed.
	ControlQueue int
	// ControlRate bounds the number of frames per second that a child may send to this
	// router itself (routes, pings, requests for IDs): 2000, with bursts of ten times as
	// many. A child that sends more is cut off.
	ControlRate int
	// Violations bounds the number of frames from a child that are forged, that their
	// sender has no right to, or whose handle was never given out: 10000. A child with
	// more is cut off.
	Violations int
	// Partials bounds the number of split messages that arrive over one link at once:
	// 4096.
	Partials int
	// PartialBytes bounds the received parts of split messages of one link that
	// MessageBudget has no room for yet, in bytes: 64 MiB.
	PartialBytes int
	// PartialIdle is the time after which a split message is given up whose sender has
	// credit and does not use it: 60 s.
	PartialIdle time.Duration
	// MessageBudget bounds the memory that split messages reserve while they arrive, in
	// bytes: 64 MiB. A larger message has it for itself.
	MessageBudget int
	// ReceiveBudget bounds the windows of all streams together, in bytes: 64 MiB. It
	// also bounds their number, as each needs 16 KiB at least.
	ReceiveBudget int
	// SendBudget bounds the bytes of streams and split messages in flight: 64 MiB. Each
	// of them may always have 64 KiB.
	SendBudget int
	// Streams bounds the number of streams that contexts behind one child have open to
	// this context: 1024.
	Streams int
	// IDs bounds the number of IDs that one child gets, for itself and all contexts below
	// it: 65536.
	IDs int
	// InfoBytes bounds the information that a child announces about the contexts below
	// it, in bytes: 16 MiB.
	InfoBytes int
	// Pairs bounds the number of pairs of contexts below different children whose frames
	// pass here, counted for each of the children: 65536.
	Pairs int
	// Heartbeat is the time between two pings: 15 s. A link is lost after Missed of them
	// without a byte from the peer: 3.
	Heartbeat time.Duration
	Missed    int
	// Flush bounds the time in which Close still writes queued frames: 250 ms.
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
