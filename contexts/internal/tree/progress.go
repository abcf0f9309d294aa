package tree

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
)

// Progress tells how far a connect has come, and bounds how long it may stand still. The
// connect as a whole has no bound: an image on a slow line is no failure. It ends all the
// same, because the number of phases is finite, and so are the bytes of an image.
type Progress struct {
	// Immutable.
	limit time.Duration // 0: none
	fire  context.CancelCauseFunc

	// moved tells that now has changed. Capacity 1; sent to by Note, which never
	// blocks; received by Next; never closed.
	moved chan struct{}

	// Guarded by mu.
	mu    sync.Mutex
	now   bootstrap.Progress
	log   *slog.Logger  // receives each phase; nil: none does
	grace time.Duration // comes on top of limit
	near  bool          // the far side is on this host
	again bool          // another attempt will be made
	over  bool
	timer *time.Timer // fires when the connect stands still; nil without a limit
}

// slowestWay is the speed, in bytes a second, at which an image must move on when all of it
// has been written. The ssh program, and servers, buffer 2 MiB, however slow the line is.
const slowestWay = 32 << 10

// largestImage bounds, in bytes, the image for which another context can make us wait at
// that speed. (It can also make us wait by telling of steps: a hop that it makes is in its
// hands.)
const largestImage = 64 << 20

// PrepareTime is the additional time in which an image may be built and packed. That is work
// on this machine, which may be busy.
const PrepareTime = 5 * time.Minute

// dialSilence bounds a dial that will be repeated. Without an answer, a system sends its
// request again after 1, 3, 7, 15 and 31 s. A new dial finds a machine that is back sooner.
const dialSilence = 10 * time.Second

// FarGrace is the time that a context has to report that it has given up a hop: its error
// says more than ours.
const FarGrace = 2 * time.Second

// StepEvery is the least time between two steps that tell of bytes only.
const StepEvery = 250 * time.Millisecond

type progressKey struct{}

// ProgressOf returns the progress that WithProgress has put into ctx; nil if there is none.
func ProgressOf(ctx context.Context) *Progress {
	p, _ := ctx.Value(progressKey{}).(*Progress)
	return p
}

// WithProgress returns a context for a connect, which ends when nothing has moved for limit.
// With a limit of 0 it does not end by itself. stop must be called when the connect is
// over.
func WithProgress(ctx context.Context, limit time.Duration) (_ context.Context, _ *Progress, stop context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	p := &Progress{limit: limit, fire: cancel, moved: make(chan struct{}, 1)}
	if limit > 0 {
		p.timer = time.AfterFunc(limit, func() { cancel(&silenceError{limit}) })
	}
	return context.WithValue(ctx, progressKey{}, p), p, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.over = true
		if p.timer != nil {
			p.timer.Stop()
		}
		cancel(nil)
	}
}

// Note notes that the connect has moved on.
func (p *Progress) Note(now bootstrap.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || now == p.now {
		return
	}
	if p.log != nil && (now.Phase != p.now.Phase || now.StartMethod != p.now.StartMethod) {
		p.log.Debug("connecting", "phase", now.String())
	}
	p.now = now
	p.awaitLocked()
	select {
	case p.moved <- struct{}{}:
	default:
	}
}

// awaitLocked begins to wait for the next move.
func (p *Progress) awaitLocked() {
	if p.timer == nil {
		return
	}
	if strings.HasPrefix(string(p.now.Phase), connect.PhaseTurn) { // a jump host may be named behind it
		p.timer.Stop() // each of the others is bounded
		return
	}
	limit := p.limit
	if p.again && p.now.Phase == connect.PhaseDial {
		limit = min(limit, dialSilence)
	}
	if p.now.Phase == bootstrap.PhasePrepare {
		limit += PrepareTime
	}
	limit += p.grace
	if size := p.now.Size; size > 0 && p.now.Sent >= size && !p.near {
		limit += time.Duration(min(size, largestImage)) * time.Second / slowestWay
	}
	p.timer.Reset(limit)
}

// Here says that this context makes the hop, and by which method.
func (p *Progress) Here(log *slog.Logger, m connect.Method) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.near = m.Traits().Local
	p.log = log
}

// Elsewhere says that the context at path makes the hop, and gives up by itself.
func (p *Progress) Elsewhere(path string) {
	p.mu.Lock()
	p.grace = FarGrace
	p.mu.Unlock()
	p.Note(bootstrap.Progress{Phase: bootstrap.Phase("waiting for a word of " + path)})
}

// Heard is Note for the progress that another context reports.
func (p *Progress) Heard(now bootstrap.Progress) {
	now.Phase, now.StartMethod = bootstrap.Phase(Word(string(now.Phase))), Word(now.StartMethod)
	now.Sent, now.Size = max(now.Sent, 0), max(now.Size, 0)
	p.Note(now)
}

// Asking returns ask with the time of the person noted: the connect moves on when a question
// is asked, and when it is answered.
func (p *Progress) Asking(ask func(context.Context, connect.Prompt) (string, error)) func(context.Context, connect.Prompt) (string, error) {
	if ask == nil {
		return nil
	}
	return func(ctx context.Context, q connect.Prompt) (string, error) {
		before := p.At()
		p.Note(bootstrap.Progress{Phase: bootstrap.Phase("waiting for an answer to " + Word(strings.TrimSpace(q.Text)))})
		defer p.Note(before)
		return ask(ctx, q)
	}
}

// Limit returns how long nothing may move; 0: there is no bound.
func (p *Progress) Limit() time.Duration { return p.limit }

// WillRetry says that another attempt will be made if this one fails.
func (p *Progress) WillRetry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.again = true
}

// At returns how far the connect has come.
func (p *Progress) At() bootstrap.Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// Next waits until the connect has moved on from told, and sets told to the progress then.
// Within a phase it waits for StepEvery, so that few steps tell of bytes only. It returns
// false when done is closed.
func (p *Progress) Next(told *bootstrap.Progress, done <-chan struct{}) bool {
	for {
		select {
		case <-done:
			return false
		case <-p.moved:
		}
		now := p.At()
		if now == *told {
			continue
		}
		if now.Phase == told.Phase && now.StartMethod == told.StartMethod {
			if !lasted(StepEvery, done) {
				return false
			}
			now = p.At()
		}
		*told = now
		return true
	}
}

// lasted reports whether d passed before done was closed.
func lasted(d time.Duration, done <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-done:
		return false
	}
}

// silenceError is the cause for which a connect that stands still is given up.
type silenceError struct{ limit time.Duration }

func (e *silenceError) Error() string {
	return fmt.Sprintf("%v: nothing has moved for %v", connect.ErrTimeout, e.limit)
}

// Is makes the error match that of a method whose time is over, and that of a context whose
// deadline has passed.
func (e *silenceError) Is(target error) bool {
	return target == connect.ErrTimeout || target == context.DeadlineExceeded
}

// Timeout reports true, as net.Error wants it.
func (e *silenceError) Timeout() bool { return true }
