package fleet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts/retry"
)

// Policy says how an operation goes about the members of a group. The zero value tries all
// of them once, in their order.
type Policy struct {
	// FanOut bounds how many members are under way at once. Default: 32 for each processor,
	// at most 256; four times as many in a Tree. Logins at one ssh server are paced besides.
	FanOut int
	// Shuffle takes the members in a random order.
	Shuffle bool

	// ConnectTimeout bounds how long an attempt waits for the member to be connected.
	// Default: 2 minutes.
	ConnectTimeout time.Duration
	// Timeout bounds an attempt at the operation itself, once the member is connected.
	// Default: none but that of ctx.
	Timeout time.Duration

	// Gather has the contexts above others carry out [Call] and [Run] for those below them,
	// and send equal results up once, with the members that have them. A master of many hosts
	// then handles few messages. It costs some 20 ms for each level. The context above is the
	// caller of the function (contexts.Caller), and the program trusts it with the results
	// anyway. A function with nodes in its argument or result, and a command with Make or
	// Line, is carried out by the master. Default: the master calls each member.
	Gather bool

	// Retry says when a member is tried again. Default: never.
	Retry Retry

	// Batches are the sizes of parts of the group that are done one after the other, the
	// last one repeated: 1, 10 %, 50 % begins with a canary. Default: one batch.
	Batches []Share
	// Between is called between two batches: to wait, to ask, to look. An error ends the
	// operation. The members that are left were not tried then.
	Between func(ctx context.Context, p Progress) error
	// StopAbove ends the operation when more members than this have failed: what runs goes
	// on, and nothing is begun. A share of 0 stops at the first failure. Default: go on.
	StopAbove *Share

	// Journal, if not nil, is told of each member. One that it knows to be done is not tried
	// again: its result has Before set, no error, and no value. One of which it knows only
	// that it was begun is not tried either: its error matches [ErrUnknown]. Name is that of
	// the operation in the journal; different operations have different names.
	Journal Journal
	Name    string
}

// A Journal keeps what became of the members of operations, so that a later process goes on
// where one ended that was killed. Package journal has one in a file. Its methods are called
// by several goroutines.
type Journal interface {
	// State returns what is known of a member from before.
	State(operation, member string) State
	// Begin is called before a member is tried. If it fails, the member is not.
	Begin(operation, member string) error
	// End is called when the member's attempts have ended; err is nil where one succeeded.
	End(operation, member string, err error) error
	// Sync is called at the end of each batch: what was written is on the disk afterwards.
	Sync() error
}

// State is what a [Journal] knows of a member.
type State uint8

// The states. A member of which nothing is known, and one that has failed, is tried.
const (
	StateNone State = iota
	StateFailed
	StateDone    // it succeeded
	StateUnknown // it was begun, and nobody knows how it ended
)

// Progress is how far an operation has come.
type Progress struct {
	Members, Done, Failed int // in all; done are those that have ended, in whatever way
	Batch                 int // that has ended, from 1
}

// Retry says when and how often a member is tried again. The default of If is [Retryable]; Notify
// gets the member.
type Retry = retry.Policy[*Member]

// Retryable reports whether a member could not be connected for a reason that may pass. An
// operation that has begun may have had its effect, so its failures are none of these.
func Retryable(err error) bool {
	e, ok := errors.AsType[*ConnectError](err)
	return ok && connect.Temporary(e.Err)
}

// A ConnectError is that of a member which could not be connected: the operation did not
// begin there.
type ConnectError struct{ Err error }

func (e *ConnectError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *ConnectError) Unwrap() error { return e.Err }

// A Share is a number of members, or a part of the group.
type Share struct {
	N       int
	Percent float64 // counts if N is 0
}

// ParseShare reads "5" or "20%".
func ParseShare(s string) (Share, error) {
	if text, ok := strings.CutSuffix(s, "%"); ok {
		p, err := strconv.ParseFloat(text, 64)
		if err == nil && p >= 0 && p <= 100 {
			return Share{Percent: p}, nil
		}
	} else if n, err := strconv.Atoi(s); err == nil && n >= 0 {
		return Share{N: n}, nil
	}
	return Share{}, fmt.Errorf("%q is neither a number of hosts, such as 5, nor a part of them, such as 20%%", s)
}

func (s Share) String() string {
	if s.N == 0 && s.Percent > 0 {
		return strconv.FormatFloat(s.Percent, 'g', -1, 64) + "%"
	}
	return strconv.Itoa(s.N)
}

// of returns how many members a share of so many is, rounded down.
func (s Share) of(members int) int {
	if s.N == 0 {
		return int(s.Percent / 100 * float64(members))
	}
	return min(s.N, members)
}

func (g *Group) fanOut() int {
	n := g.policy.FanOut
	if n <= 0 {
		if n = min(256, 32*runtime.GOMAXPROCS(0)); g.kept.plan != nil {
			n *= 4
		}
	}
	return n
}

// ordered brings members into the order in which they are taken.
func (p *Policy) ordered(members []*Member) []*Member {
	if p.Shuffle {
		rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	}
	return members
}

func (p *Policy) connectTimeout() time.Duration {
	if p.ConnectTimeout > 0 {
		return p.ConnectTimeout
	}
	return 2 * time.Minute
}

// batches cuts members into batches; a batch has at least one.
func (p *Policy) batches(members []*Member) [][]*Member {
	if len(p.Batches) == 0 {
		return [][]*Member{members}
	}
	var all [][]*Member
	for rest, i := members, 0; len(rest) > 0; i++ {
		share := p.Batches[min(i, len(p.Batches)-1)]
		n := min(max(share.of(len(members)), 1), len(rest))
		all = append(all, rest[:n])
		rest = rest[n:]
	}
	return all
}

// stops reports whether so many failures of so many members end the operation.
func (p *Policy) stops(failed, members int) bool {
	return p.StopAbove != nil && failed > p.StopAbove.of(members)
}
