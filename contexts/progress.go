package contexts

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
)

// progress is how far a connect has come, and bounds how long nothing may move. The
// whole may take as long as it likes: an image on a slow line is no failure. What
// moves is finite, as there are so many phases and so many bytes of an image.
type progress struct {
	// Immutable.
	limit time.Duration // 0: none
	fire  context.CancelCauseFunc

	// moved tells that now has changed. Capacity 1; sent to by note, which never
	// blocks; received by next; never closed.
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

// prepareTime is what the building and packing of an image may take in addition. It is
// work of ours, and how long it takes tells of how busy this machine is.
const prepareTime = 5 * time.Minute

// dialSilence bounds a dial that will be repeated. A system that is not answered asks
// after 1, 3, 7, 15 and 31 s: of a machine that is back, the later it asks the later
// it hears.
const dialSilence = 10 * time.Second

// farGrace is how much longer than the context that makes a hop we wait for it to
// give up: it knows more to say.
const farGrace = 2 * time.Second

// maxPhase bounds the text of a phase from another context, in bytes.
const maxPhase = 200

type progressKey struct{}

// progressOf returns what withProgress has put into ctx, nil where there is nothing.
func progressOf(ctx context.Context) *progress {
	p, _ := ctx.Value(progressKey{}).(*progress)
	return p
}

// withProgress returns a context for a connect that ends when nothing has moved for
// limit; 0: it does not.
func withProgress(ctx context.Context, limit time.Duration) (context.Context, *progress, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	p := &progress{limit: limit, fire: cancel, moved: make(chan struct{}, 1)}
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

// bounded is withProgress for a connect, unless ctx has it already. Where nothing
// else bounds it, Config.ConnectTimeout does.
func (l *local) bounded(ctx context.Context, m connect.Method, b bounds) (context.Context, *progress, context.CancelFunc) {
	if p := progressOf(ctx); p != nil {
		return ctx, p, func() {}
	}
	limit := b.Silence
	if _, ok := ctx.Deadline(); !ok && limit <= 0 {
		limit = l.cfg.ConnectTimeout + m.Traits().ImageTime
	}
	return withProgress(ctx, limit)
}

// note notes that something has moved.
func (p *progress) note(now bootstrap.Progress) {
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
func (p *progress) awaitLocked() {
	if p.timer == nil {
		return
	}
	limit := p.limit
	if p.again && p.now.Phase == connect.PhaseDial {
		limit = min(limit, dialSilence)
	}
	if p.now.Phase == bootstrap.PhasePrepare {
		limit += prepareTime
	}
	limit += p.grace
	if size := p.now.Size; size > 0 && p.now.Sent >= size && !p.near {
		limit += time.Duration(min(size, largestImage)) * time.Second / slowestWay
	}
	p.timer.Reset(limit)
}

// here says that the hop is made by this context, and by which method.
func (p *progress) here(log *slog.Logger, m connect.Method) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.near = m.Traits().Local
	p.log = log
}

// elsewhere says that the hop is made by another context, which gives up by itself.
func (p *progress) elsewhere(n *Node) {
	p.mu.Lock()
	p.grace = farGrace
	p.mu.Unlock()
	p.note(bootstrap.Progress{Phase: bootstrap.Phase("waiting for a word of " + n.String())})
}

// heard is note for what another context says.
func (p *progress) heard(now bootstrap.Progress) {
	now.Phase, now.StartMethod = bootstrap.Phase(shown(string(now.Phase))), shown(now.StartMethod)
	now.Sent, now.Size = max(now.Sent, 0), max(now.Size, 0)
	p.note(now)
}

// shown makes a text from elsewhere fit to be shown.
func shown(text string) string {
	if len(text) > maxPhase {
		text = text[:maxPhase]
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return '_'
		}
		return r
	}, text)
}

// asking has a person's time noted: a question that is asked, and one that is answered,
// are moves.
func (p *progress) asking(ask func(context.Context, connect.Prompt) (string, error)) func(context.Context, connect.Prompt) (string, error) {
	if ask == nil {
		return nil
	}
	return func(ctx context.Context, q connect.Prompt) (string, error) {
		before := p.at()
		p.note(bootstrap.Progress{Phase: bootstrap.Phase("waiting for an answer to " + shown(strings.TrimSpace(q.Text)))})
		defer p.note(before)
		return ask(ctx, q)
	}
}

func (p *progress) at() bootstrap.Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// next waits for a move that has not been told and tells it, but for those of bytes
// no more often than every stepEvery. It returns false when done is closed.
func (p *progress) next(told *bootstrap.Progress, done <-chan struct{}) bool {
	for {
		select {
		case <-done:
			return false
		case <-p.moved:
		}
		now := p.at()
		if now == *told {
			continue
		}
		if now.Phase == told.Phase && now.StartMethod == told.StartMethod {
			if !lasted(stepEvery, done) {
				return false
			}
			now = p.at()
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
