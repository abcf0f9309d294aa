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

// Progress is how far a connect has come, and bounds how long nothing may move. The
// whole may take as long as it likes: an image on a slow line is no failure. What
// moves is finite, as there are so many phases and so many bytes of an image.
type Progress struct {
	// Immutable.
	limit time.Duration // 0: none
	fire  context.CancelCauseFunc

	// moved tells that now has changed. Capacity 1; sent to by Note, which never
	// blocks; received by Next; never closed.
	moved chan struct{}

	mu    sync.Mutex
	now   bootstrap.Progress
	log   *slog.Logger // told of each phase; nil: nobody is
	grace time.Duration
	near  bool // what is written is read on this host
	again bool // another attempt will be made
	over  bool
	timer *time.Timer // fires where nothing has moved; nil without a limit
}

// slowestWay is how fast, in bytes a second, an image is bound to move that the pipe
// has taken. The ssh program, and servers, take 2 MiB at once, whatever the line.
const slowestWay = 32 << 10

// largestImage, in bytes, bounds the time that another context can make us wait with
// that. It may also go on to tell of steps: a hop that it makes is in its hands.
const largestImage = 64 << 20

// PrepareTime is what the building and packing of an image may take in addition. It is
// work of ours, and how long it takes tells of how busy this machine is.
const PrepareTime = 5 * time.Minute

// dialSilence bounds a dial that will be repeated. A system that is not answered asks
// after 1, 3, 7, 15 and 31 s: of a machine that is back, the later it asks the later
// it hears.
const dialSilence = 10 * time.Second

// FarGrace is how much longer than the context that makes a hop we wait for it to
// give up: it knows more to say.
const FarGrace = 2 * time.Second

// StepEvery is the least time between two steps that tell of bytes only.
const StepEvery = 250 * time.Millisecond

type progressKey struct{}

// ProgressOf returns what WithProgress has put into ctx, nil where there is nothing.
func ProgressOf(ctx context.Context) *Progress {
	p, _ := ctx.Value(progressKey{}).(*Progress)
	return p
}

// WithProgress returns a context for a connect that ends when nothing has moved for
// limit; 0: it does not.
func WithProgress(ctx context.Context, limit time.Duration) (context.Context, *Progress, context.CancelFunc) {
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

// Note notes that something has moved.
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

// Here says that the hop is made by this context, and by which method.
func (p *Progress) Here(log *slog.Logger, m connect.Method) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.near = m.Traits().Local
	p.log = log
}

// Elsewhere says that the hop is made by another context, which gives up by itself.
func (p *Progress) Elsewhere(path string) {
	p.mu.Lock()
	p.grace = FarGrace
	p.mu.Unlock()
	p.Note(bootstrap.Progress{Phase: bootstrap.Phase("waiting for a word of " + path)})
}

// Heard is Note for what another context says.
func (p *Progress) Heard(now bootstrap.Progress) {
	now.Phase, now.StartMethod = bootstrap.Phase(Word(string(now.Phase))), Word(now.StartMethod)
	now.Sent, now.Size = max(now.Sent, 0), max(now.Size, 0)
	p.Note(now)
}

// Asking has a person's time noted: a question that is asked, and one that is answered,
// are moves.
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

// Next waits for a move that has not been told and tells it, but for those of bytes
// no more often than every StepEvery. It returns false when done is closed.
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

// silenceError is why a connect is given up in which nothing moves.
type silenceError struct{ limit time.Duration }

func (e *silenceError) Error() string {
	return fmt.Sprintf("%v: nothing has moved for %v", connect.ErrTimeout, e.limit)
}

// Is makes it both of what a bound that passed is: the method's, and the context's.
func (e *silenceError) Is(target error) bool {
	return target == connect.ErrTimeout || target == context.DeadlineExceeded
}

// Timeout is as net.Error has it.
func (e *silenceError) Timeout() bool { return true }
