package contexts

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts/internal/tree"
	"github.com/mitosis-go/mitosis/core"
)

// ManagedHostConfig says how a managed host is kept connected. The zero value is a good
// choice.
type ManagedHostConfig struct {
	// Wait bounds how long a use of the host waits until the host is connected. The ctx of
	// the use bounds it as well. If Wait is negative, a use does not wait for a host that
	// is known to be away: it fails at once with ErrUnavailable. Default: 5 minutes, in
	// which a machine reboots.
	Wait time.Duration
	// Attempt bounds how long one attempt to connect may stand still: no phase ends, and no
	// byte of the image is sent. A person has to answer a question in this time. An attempt
	// that moves on may take any time. A dial without an answer is given up and repeated
	// after 10 s. Default: 30 s.
	Attempt time.Duration
	// MinDelay and MaxDelay bound the pauses between attempts. Pauses are random, so that
	// many programs that lost a host do not come back at the same moment. After a loss the
	// first attempt is made at once. If the host did not answer, the next pause is at most a
	// quarter of the time for which it has been away. If it answered and the attempt failed,
	// the n-th pause is at most MinDelay times 2 to the power of n-1. Defaults: 500 ms, 30 s.
	MinDelay, MaxDelay time.Duration

	// MaxDepth bounds the hops below the host's context. Config.MaxDepth bounds them as
	// well, and is the default.
	MaxDepth int
	// MaxContexts bounds the contexts below the host's context, at any depth, that are
	// there at once. The contexts themselves enforce it. Default: 1024.
	MaxContexts int
}

const (
	defaultHostWait     = 5 * time.Minute
	defaultHostAttempt  = 30 * time.Second
	defaultHostMinDelay = 500 * time.Millisecond
	defaultHostMaxDelay = 30 * time.Second
	defaultHostContexts = 1024
)

func (c *ManagedHostConfig) withDefaults() ManagedHostConfig {
	var d ManagedHostConfig
	if c != nil {
		d = *c
	}
	for _, f := range []struct {
		v       *time.Duration
		initial time.Duration
	}{{&d.Attempt, defaultHostAttempt}, {&d.MinDelay, defaultHostMinDelay}, {&d.MaxDelay, defaultHostMaxDelay}} {
		if *f.v <= 0 {
			*f.v = f.initial
		}
	}
	if d.Wait == 0 {
		d.Wait = defaultHostWait
	}
	if d.MaxContexts <= 0 {
		d.MaxContexts = defaultHostContexts
	}
	return d
}

// A ManagedHost is a host that is connected again when it was lost. A Node is gone for
// good when its link is lost. A ManagedHost outlives a restart of the server, a time
// without a network, and a reboot.
//
//	web := self.Manage(ssh.Login{Host: "web1"}, nil)
//	defer web.Close()
//	use, err := diskFree.Call(ctx, web, "/var") // connects, the first time
//	out, err := web.Command(ctx, "uptime").Output()
//	node, err := web.Connect(ctx) // the node of the present connection
//
// It is a [Target]. A call that is under way when the host is lost fails with an error
// that matches [ErrGone]. It is not repeated, because it may have run. The next call waits
// for the host, or fails with an error that matches [ErrUnavailable]: see
// ManagedHostConfig.Wait.
//
// The host is connected at the first use. From then on one goroutine keeps it connected,
// until Close or the end of the tree. It gives up on errors that only a person can remedy:
// passwords, host keys, and bounds of the tree. As long as the host was never reached, it
// gives up on all errors that are not [connect.Temporary], such as an unknown name. Uses
// that wait return the error, and the next use tries again.
//
// Any number of goroutines may use a ManagedHost.
type ManagedHost struct {
	// Immutable.
	l     *local
	label string
	cfg   ManagedHostConfig
	route func(ctx context.Context) (Route, error)         // which way the next attempt goes; nil: always the same
	dial  func(ctx context.Context) (*Node, string, error) // connects, and returns the node with the boot of its host
	hang  func(*Node) error                                // closes the node

	// Guarded by mu.
	mu          sync.Mutex
	reconnector *reconnector // nil while none runs
	cancel      context.CancelFunc
	leaves      bool          // the context stays when the reconnector ends
	changed     chan struct{} // closed, and replaced, when anything below changes
	node        *Node         // nil while away
	boot        string        // of the last context that was connected
	connects    uint64        // counts the connects that succeeded
	err         error         // of the last attempt; nil before the first, and after one that succeeded
	since       time.Time     // when the host was found to be away
}

// Manage returns the handle on a host that is one hop from this context. The host is lost
// for good when this context is.
func (n *Node) Manage(m connect.Method, cfg *ManagedHostConfig) *ManagedHost {
	return newHost(n.self, joinPath(n, m.Label()), n, m, cfg)
}

// Manage returns the handle on a host that is one hop from this one. When this one was
// lost and is connected again, so is the other. The hop may lead to another user of the
// same machine.
func (h *ManagedHost) Manage(m connect.Method, cfg *ManagedHostConfig) *ManagedHost {
	return newHost(h.l, h.label+"/"+joinPath(nil, m.Label()), h, m, cfg)
}

func newHost(l *local, label string, via Target, m connect.Method, cfg *ManagedHostConfig) *ManagedHost {
	h := &ManagedHost{l: l, label: label, cfg: cfg.withDefaults(), hang: (*Node).Close, changed: make(chan struct{})}
	h.dial = func(ctx context.Context) (*Node, string, error) {
		// Another host is connected with a patience of its own.
		reach, cancel := context.WithTimeout(ctx, h.cfg.Attempt)
		from, err := NodeOf(reach, via)
		cancel()
		if err != nil {
			return nil, "", err
		}
		n, boot, err := h.connectFrom(ctx, from, m)
		if gone := from.gone(); err != nil && gone != nil && from == via {
			err = &lasting{err}
		}
		return n, boot, err
	}
	return h
}

// connectFrom makes the hop from a node.
func (h *ManagedHost) connectFrom(ctx context.Context, from *Node, m connect.Method) (*Node, string, error) {
	n, err := from.connect(ctx, m, bounds{Depth: h.cfg.MaxDepth, Contexts: h.cfg.MaxContexts})
	if err != nil {
		return nil, "", err
	}
	boot, err := bootFunc.Call(ctx, n, struct{}{})
	if err != nil {
		_ = n.Close()
		return nil, "", err
	}
	return n, boot, nil
}

var bootFunc = NewFunc("mitosis.boot", func(context.Context, struct{}) (string, error) {
	return tree.BootID(), nil
})

// lasting marks an error that no further attempt will change.
type lasting struct{ error }

func (e *lasting) Unwrap() error { return e.error }

// lasts reports whether an attempt failed for a reason that stays until a person does
// something. More reasons pass for a host that has been there than for one that was never
// reached: while it boots, its name may be unknown, its logins refused, and its container
// not started.
func lasts(err error, wasThere bool) bool {
	if _, ok := errors.AsType[*lasting](err); ok {
		return true
	}
	for _, class := range []error{
		connect.ErrPassword, connect.ErrPasswordRequired, connect.ErrHostKey, connect.ErrBadName,
		ErrNotInitialized, ErrTooDeep, ErrClosed, ErrRefused,
	} {
		if errors.Is(err, class) {
			return true
		}
	}
	if wasThere || connect.Temporary(err) {
		return false
	}
	for _, passes := range []error{ErrGone, ErrUnavailable, ErrBusy} {
		if errors.Is(err, passes) {
			return false
		}
	}
	return true
}

// String returns the path of hops to the host.
func (h *ManagedHost) String() string {
	if h == nil {
		return "<nil managed host>"
	}
	return h.label
}

// Connect returns the node of the host's context. If there is none, it waits until the host
// is connected. Errors are *Error. They match [ErrUnavailable] if further attempts will be
// made.
func (h *ManagedHost) Connect(ctx context.Context) (*Node, error) {
	return h.await(ctx, h.cfg.Wait, func() bool { return true })
}

// Boot returns a text that changes with each boot of the host's system, as it was at the
// last connect. It returns "" before the first connect, and on systems that do not name
// their boots. Linux and macOS do.
func (h *ManagedHost) Boot() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.boot
}

// WaitReboot waits until the host is connected after a reboot. before is the text that Boot
// returned before the host was told to reboot. On a system that does not name its boots,
// WaitReboot waits for a connect that comes after the call.
func (h *ManagedHost) WaitReboot(ctx context.Context, before string) (*Node, error) {
	h.mu.Lock()
	seen := h.connects
	h.mu.Unlock()
	wait := h.cfg.Wait
	if wait < 0 {
		wait = defaultHostWait // this is about waiting
	}
	return h.await(ctx, wait, func() bool {
		return h.boot != before || h.boot == "" && h.connects > seen
	})
}

// await waits for a context for which will returns true. wait is as in the configuration.
// will is called with mu held.
func (h *ManagedHost) await(ctx context.Context, wait time.Duration, will func() bool) (*Node, error) {
	var late <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		late = timer.C
	}
	fail := func(err error) (*Node, error) {
		return nil, &Error{Op: "connect", Path: h.label, Kind: core.KindConnect, Err: err}
	}
	started := false
	for {
		h.mu.Lock()
		if h.node != nil && h.node.Err() == nil && will() {
			defer h.mu.Unlock()
			return h.node, nil
		}
		if h.reconnector == nil {
			if started {
				err := h.err
				h.mu.Unlock()
				if err == nil {
					err = ErrClosed
				}
				return fail(err)
			}
			h.startLocked()
		}
		started = true
		changed, away := h.changed, h.err
		if away != nil {
			away = fmt.Errorf("%w since %s: %w", ErrUnavailable, h.since.Format(time.TimeOnly), away)
		}
		h.mu.Unlock()
		if away != nil && wait < 0 {
			return fail(away)
		}
		select {
		case <-changed:
			continue
		case <-ctx.Done():
			if err := context.Cause(ctx); away == nil {
				away = err
			} else {
				away = fmt.Errorf("%w; %w", err, away)
			}
		case <-late:
			if away == nil {
				away = fmt.Errorf("%w: nothing was heard for %v", ErrUnavailable, wait)
			}
		}
		return fail(away)
	}
}

// Close closes the host's context and ends the attempts to connect it. The next use connects
// it again.
func (h *ManagedHost) Close() error {
	h.mu.Lock()
	if h.reconnector == nil {
		h.mu.Unlock()
		return nil
	}
	h.cancel()
	k := h.reconnector
	h.mu.Unlock()
	<-k.ended
	return k.survivors
}

// Leave ends the attempts to connect the host, as Close does, but returns its context as it
// is, nil if there is none. It is for hosts whose parents are about to be closed.
func (h *ManagedHost) Leave() *Node {
	h.mu.Lock()
	k := h.reconnector
	if k == nil {
		h.mu.Unlock()
		return nil
	}
	h.leaves = true
	h.cancel()
	h.mu.Unlock()
	<-k.ended
	return k.left
}

// reconnector is the goroutine that keeps a host connected.
type reconnector struct {
	ended     chan struct{} // closed when it has returned
	survivors error         // of the closing of its context; set before ended is closed
	left      *Node         // its context, if that was to be left; set before ended is closed
}

// startLocked starts the reconnector. The caller holds mu.
func (h *ManagedHost) startLocked() {
	var ctx context.Context
	ctx, h.cancel = context.WithCancel(h.l.Ctx)
	k := &reconnector{ended: make(chan struct{})}
	h.reconnector, h.err, h.leaves = k, nil, false
	h.l.Tasks.Go(func() {
		n, err := h.keep(ctx)
		h.mu.Lock()
		leaves := h.leaves
		h.mu.Unlock()
		if leaves {
			k.left = n
		} else if n != nil && h.l.Ctx.Err() == nil {
			k.survivors = h.hang(n) // the end of the tree sees to it itself
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.cancel()
		h.reconnector, h.node, h.err = nil, nil, h.reason(err)
		h.tellLocked()
		close(k.ended)
	})
}

func (h *ManagedHost) tellLocked() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// keep connects, and connects again, until ctx ends, the context is closed rather than
// lost, or an error lasts. It returns the context that is left to be closed, nil if there
// is none.
func (h *ManagedHost) keep(ctx context.Context) (*Node, error) {
	var p tree.Pauses
	p.Begin()
	for {
		n, boot, at, err := h.attempt(ctx)
		switch {
		case ctx.Err() != nil:
			return n, ErrClosed
		case err == nil:
			connected := time.Now()
			if away := h.here(n, boot); away > 0 {
				h.l.log.Warn("a host is back", "host", h.label, "after", away.Round(time.Millisecond))
			}
			select {
			case <-n.Done():
			case <-ctx.Done():
				return n, ErrClosed
			}
			if err = n.Err(); errors.Is(err, ErrClosed) {
				return nil, ErrClosed
			}
			h.away(err)
			h.l.log.Warn("a host was lost and is being connected again", "host", h.label, "err", err)
			// A context that is lost as soon as it is connected is no success.
			if time.Since(connected) >= h.cfg.MinDelay {
				p.Begin()
			} else {
				p.Died()
			}
		case lasts(err, h.wasThere()):
			return nil, err
		default:
			h.away(err)
			p.Failed(tree.NobodyAnswers(err, at))
		}
		pause := p.Next(h.cfg.MinDelay, h.cfg.MaxDelay)
		h.l.log.Debug("a host is connected again after a pause", "host", h.label, "pause", pause, "err", err)
		if !sleep(ctx, pause) {
			return nil, ErrClosed
		}
	}
}

// attempt connects once. at is how far it has come.
func (h *ManagedHost) attempt(ctx context.Context) (n *Node, boot string, at bootstrap.Progress, err error) {
	dial, done := h.dial, func(*Node, error) {}
	if h.route != nil {
		// The wait for a turn is none of the attempt.
		r, err := h.route(ctx)
		if err != nil {
			return nil, "", at, err
		}
		dial = func(ctx context.Context) (*Node, string, error) { return h.connectFrom(ctx, r.From, r.Method) }
		if r.Done != nil {
			done = r.Done
		}
	}
	attempt, p, stop := tree.WithProgress(ctx, h.cfg.Attempt)
	defer stop()
	p.WillRetry()
	if n, boot, err = dial(attempt); err != nil {
		err = withCause(attempt, err)
	}
	done(n, err)
	return n, boot, p.At(), err
}

// wasThere reports whether the host has been reached before.
func (h *ManagedHost) wasThere() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.connects > 0
}

// here notes that the host is connected, and returns for how long it was lost.
func (h *ManagedHost) here(n *Node, boot string) (away time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil && h.connects > 0 {
		away = time.Since(h.since)
	}
	h.node, h.boot, h.err = n, boot, nil
	h.connects++
	h.tellLocked()
	return away
}

// away notes that the host is not connected, and why.
func (h *ManagedHost) away(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.since = time.Now()
	}
	h.node, h.err = nil, h.reason(err)
	h.tellLocked()
}

// reason returns the error of an attempt without the path of the host, which every error of
// a ManagedHost has in front.
func (h *ManagedHost) reason(err error) error {
	if e, ok := err.(*Error); ok && e.Path == h.label {
		return reasonOf(err)
	}
	return err
}

// sleep reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
