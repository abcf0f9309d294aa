//go:build linux || darwin || freebsd

package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/attach"
	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
	"github.com/mitosis-go/mitosis/contexts/pool"
	"github.com/mitosis-go/mitosis/internal/usersocket"
)

// broker is a running broker.
//
// Goroutines: Serve accepts; each connection has one that reads, and one more while it has a
// request; watch looks after the socket. Serve waits for all of them.
type broker struct {
	// Immutable.
	cfg    Config
	log    *slog.Logger
	socket *socket
	self   *contexts.Node
	pool   *pool.Pool
	guests *attach.Listener
	began  time.Time

	greeting wire.Greeting // the first frame of each session

	ctx    context.Context // ends with the broker; the cause says why
	cancel context.CancelCauseFunc

	work    sync.WaitGroup // see goLocked
	numbers atomic.Uint64  // the number of the last request
	asking  askers
	events  hub

	guestLeases guestLeases

	mu       sync.Mutex
	sessions map[*session]struct{} // guarded by mu
	uses     int                   // guarded by mu: requests and leases that keep it from being idle
	closed   bool                  // guarded by mu: work is waited for
	idle     *time.Timer           // guarded by mu: runs while uses is 0
	retiring bool                  // guarded by mu: it takes no more connections
	requests uint64                // guarded by mu: ever
}

// Serve is the broker of this process's user. It returns nil when it ends because it was idle or was
// told to, and the cause of ctx when that ends. The process must have called contexts.Init. nil is
// the zero Config.
//
// The error matches [ErrRunning] where the user has a broker of that name, and the errors of
// [attach.Listen] where the socket can't be made.
func Serve(ctx context.Context, cfg *Config) error {
	c := cfg.withDefaults()
	s, err := bind(c.socket())
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	defer s.Close()
	b, err := start(ctx, c, s)
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	if c.Ready != nil {
		c.Ready(s.path)
	}
	b.log.Info("the broker listens", "socket", s.path, "pid", os.Getpid())
	var listening sync.WaitGroup
	listening.Go(func() { b.accept(s.UnixListener) })
	listening.Go(func() { s.watch(b.ctx, func() { b.cancel(errSocketGone) }) })
	<-b.ctx.Done()
	s.Close() // a client that comes now starts the next broker
	listening.Wait()
	cause := context.Cause(b.ctx)
	err = b.close()
	b.log.Info("the broker ends", "because", cause)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	return nil
}

// The reasons for which a broker ends by itself.
var (
	errIdle       = errors.New("nobody has used it for a while")
	errStopped    = errors.New("a client has told it to")
	errSocketGone = errors.New("its socket was removed")
)

// start makes the tree and the pool.
func start(ctx context.Context, c Config, s *socket) (*broker, error) {
	b := &broker{cfg: c, socket: s, began: time.Now(), sessions: make(map[*session]struct{})}
	b.ctx, b.cancel = context.WithCancelCause(ctx)
	b.greeting = wire.Greeting{Mitosis: "broker", Version: wire.Version, Program: c.Program, PID: os.Getpid(), Capabilities: capabilities()}
	tree := contexts.Config{}
	if c.Tree != nil {
		tree = *c.Tree
	}
	b.log = cmp.Or(tree.Log, slog.Default())
	tree.Prompt = func(context.Context, connect.Prompt) (string, error) { return "", errNobody }
	// The tree ends after the pool, in close, and not with ctx.
	self, err := contexts.Start(context.WithoutCancel(ctx), &tree)
	if err != nil {
		return nil, err
	}
	b.self = self
	p := c.Pool
	p.Opening = b.opening
	b.pool = pool.New(self, &p)
	b.guests = attach.NewListener(self, &attach.Config{MaxPeers: c.MaxClients, Grant: func(attach.Peer, *contexts.Node) bool { return len(c.Allow) == 0 }})
	doors.add(b)
	if c.Idle >= 0 {
		b.idle = time.AfterFunc(c.Idle, b.endIdle)
	}
	return b, nil
}

// close ends all sessions, connections and the tree.
func (b *broker) close() error {
	b.cancel(contexts.ErrClosed)
	doors.remove(b)
	b.mu.Lock()
	b.closed = true
	for s := range b.sessions {
		s.end(contexts.ErrClosed)
	}
	if b.idle != nil {
		b.idle.Stop()
	}
	b.mu.Unlock()
	_ = b.guests.Close()
	b.work.Wait()
	err := b.pool.Close()
	return errors.Join(err, b.self.Close())
}

// accept takes connections until the listener ends.
func (b *broker) accept(l *net.UnixListener) {
	for {
		c, err := l.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			// Most probably there are too many open files. Some may be closed soon.
			b.log.Warn("no connection can be accepted at the moment", "err", err)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-b.ctx.Done():
			}
			continue
		}
		b.admit(c)
	}
}

// admit begins a session for a connection of the user.
func (b *broker) admit(c *net.UnixConn) {
	peer, err := usersocket.CheckPeer(c)
	if err != nil {
		b.log.Warn("a connection was refused", "err", err)
		_ = c.Close()
		return
	}
	s := newSession(b, c, peer)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.retiring || b.ctx.Err() != nil {
		_ = c.Close()
		return
	}
	if len(b.sessions) >= b.cfg.MaxClients && !b.evictLocked() {
		f := &failure{kind: "busy", err: fmt.Errorf("%w: %d connections have requests", contexts.ErrBusy, len(b.sessions))}
		b.work.Go(func() { s.refuse(f) })
		return
	}
	b.sessions[s] = struct{}{}
	b.work.Go(func() {
		s.serve()
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.sessions, s)
	})
}

// goLocked starts a goroutine for which close waits, unless that is waiting already. mu is held.
func (b *broker) goLocked(f func()) {
	if !b.closed {
		b.work.Go(f)
	}
}

// evictLocked ends the session that has been without a request and a lease for longest, and
// reports whether there is one.
func (b *broker) evictLocked() bool {
	var oldest *session
	for s := range b.sessions {
		if s.uses == 0 && !s.evicted && (oldest == nil || s.since.Before(oldest.since)) {
			oldest = s
		}
	}
	if oldest == nil {
		return false
	}
	oldest.evicted = true
	delete(b.sessions, oldest)
	oldest.end(errEvicted)
	return true
}

// use notes that a session, nil for a guest, has one more request or lease. One that counts keeps the
// broker from being idle: those that only look at it do not. It reports false for a session that was
// evicted.
func (b *broker) use(s *session, counts bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s != nil {
		if s.evicted {
			return false
		}
		s.uses++
	}
	if !counts {
		return true
	}
	b.uses++
	b.requests++
	if b.idle != nil {
		b.idle.Stop()
	}
	return true
}

// unuse ends what use has begun.
func (b *broker) unuse(s *session, counted bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s != nil {
		if s.uses--; s.uses == 0 {
			s.since = time.Now()
		}
	}
	if !counted {
		return
	}
	if b.uses--; b.uses > 0 {
		return
	}
	if b.retiring {
		b.cancel(errStopped)
	} else if b.idle != nil {
		b.idle.Reset(b.cfg.Idle)
	}
}

// endIdle ends the broker if nobody uses it.
func (b *broker) endIdle() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.uses == 0 {
		b.cancel(errIdle)
	}
}

// retire has the broker take no more connections, and end with the last use.
func (b *broker) retire() {
	b.socket.Close() // the next client starts the next broker
	b.mu.Lock()
	defer b.mu.Unlock()
	b.retiring = true
	if b.uses == 0 {
		b.cancel(errStopped)
	}
}

// dedicated is the name of the pool in which each request has a connection of its own.
const dedicated = "dedicated"

// lease lends a connection to the end of a path. The clock is held while somebody is asked for it.
func (b *broker) lease(ctx context.Context, poolName string, hops []connect.Method, person person, c *clock) (*pool.Lease, error) {
	key, err := connect.Key(hops...)
	if err != nil {
		return nil, err
	}
	defer b.asking.add(key, person, c)()
	p := b.pool
	if poolName != "" {
		uses := 0 // as many as those of the pool without a name
		if poolName == dedicated {
			uses = 1
		}
		p = p.Named(poolName, uses)
	}
	l, err := p.GetHops(ctx, hops...)
	if err != nil {
		b.events.failed(pathOf(hops), err)
		return nil, err
	}
	b.events.connected(b.self, l.Node(), hops)
	return l, nil
}
