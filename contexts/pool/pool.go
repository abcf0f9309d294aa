// Package pool lends connections to hosts to the parts of a program.
//
//	p := pool.New(self, nil)
//	defer p.Close()
//	...
//	lease, err := p.Get(ctx, "ssh:web1/sudo")
//	if err != nil {
//		return err
//	}
//	defer lease.Release()
//	out, err := lease.Node().Command(ctx, "uptime").Output()
//
// A connection is the context at the end of a hop path. Paths share what they have in common:
// "ssh:web1/sudo" is started from the context of "ssh:web1", so there is one ssh connection for
// both. That one stands as long as something goes through it, and is closed after it.
//
// A connection has a number of leases at a time; another one is made when all are taken, up to a
// bound for the path and one for the pool. Whoever can't be served waits, first come first served.
// A connection that nobody uses for a while is closed. One that is lost is dropped with all that
// go through it, and the next lease makes them anew. Nothing is asked whether it still lives:
// whoever uses it finds out.
//
// The first connection to a host is made alone, so that a password is asked for once. It is given
// up when all who wait for it have given up.
//
// Use several pools of one program by [Pool.Named]: a bulk copy in a pool of its own does not
// hold up the calls of others, and the bounds of the host hold for both.
//
// A server that refuses a further connection, though others to it stand, has its bound lowered:
// those who wait share what there is. The bound rises again, one by one: after a second, and each
// time that was too early, after twice as long, up to 5 minutes.
package pool

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/retry"
)

// ErrClosed is the error of a pool that has been closed.
var ErrClosed = errors.New("the pool is closed")

// Config has the bounds of a pool. The zero value is a good choice.
type Config struct {
	// Uses bounds the leases that one connection has at a time. Default: 16.
	Uses int
	// PerHost bounds the connections to the end of one path, those of all named pools
	// together. Default: 4, which sshd's default of MaxStartups lets in at once.
	PerHost int
	// Total bounds the connections in all. One through which others go does not count, so
	// that the first of those never waits for room. Default: 256.
	Total int
	// Idle is the time after which a connection without leases is closed. Default: 10 minutes;
	// less than 0: at once. The use of one that goes through another is a use of both.
	Idle time.Duration
	// Retry says when the opening of a connection is tried again while no other to the end of
	// the path stands. Its If is connect.Temporary by default; Notify gets the path. Those who
	// wait for it wait longer, and it ends when nobody waits any more. Default: never.
	Retry retry.Policy[string]
	// Opening, if not nil, returns the ctx with which a connection is opened. ctx has the
	// values of that of the first who waits for it, or for one that goes through it, and ends
	// when nobody waits any more. key is that of the hops: see [connect.Key]. It begins the
	// key of all who wait for the connection, those who come later, too. It has the secrets of
	// the hops.
	Opening func(ctx context.Context, key string) context.Context
}

func (c Config) withDefaults() Config {
	for _, n := range []struct {
		value   *int
		initial int
	}{{&c.Uses, 16}, {&c.PerHost, 4}, {&c.Total, 256}} {
		if *n.value <= 0 {
			*n.value = n.initial
		}
	}
	if c.Idle == 0 {
		c.Idle = 10 * time.Minute
	}
	return c
}

// A Pool has connections to hosts. It may be used by several goroutines.
type Pool struct {
	name   string
	uses   int
	shared *shared
}

// New returns a pool whose connections are made from self. nil is the zero Config.
func New(self *contexts.Node, cfg *Config) *Pool {
	var c Config
	if cfg != nil {
		c = *cfg
	}
	return newPool(c, func(ctx context.Context, before *contexts.Node, hop connect.Method) (link, error) {
		if before == nil {
			before = self
		}
		node, err := before.Connect(ctx, hop)
		if err != nil {
			return link{}, err
		}
		return link{node, node.Done(), node.Close}, nil
	})
}

func newPool(c Config, open opener) *Pool {
	c = c.withDefaults()
	return &Pool{"", c.Uses, newShared(c, open)}
}

// Named returns the pool of a name. It has connections of its own, with so many leases at a
// time (0: as many as those of p), and the bounds of p hold for both together. Equal names are
// the same pool.
func (p *Pool) Named(name string, uses int) *Pool {
	if uses <= 0 {
		uses = p.uses
	}
	return &Pool{name, uses, p.shared}
}

// Get lends a connection to the end of a hop path: see [connect.ParsePath].
func (p *Pool) Get(ctx context.Context, path string) (*Lease, error) {
	hops, err := connect.ParsePath(path)
	if err != nil {
		return nil, err
	}
	return p.GetHops(ctx, hops...)
}

// GetHops lends a connection to the end of the hops. It is one that stands and has the most
// leases left, of equal ones that which was used last; or a new one; or the first to be given
// back. If a new one can't be made and none stands, the error is that of
// [contexts.Node.Connect], for all who wait for the host at that moment.
//
// The context of a lease was there when it was lent. If it was dead already and nobody had
// noticed, its first use fails with [contexts.ErrGone], as it does where it is lost later.
func (p *Pool) GetHops(ctx context.Context, hops ...connect.Method) (*Lease, error) {
	keys, err := keysOf(hops)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for range 3 {
		lease, err := p.wait(ctx, keys, hops)
		if err != nil || !lease.conn.isLost() {
			return lease, err
		}
		lease.Release() // it was lost on the way here
	}
	return nil, errLost
}

// wait waits for a lease.
func (p *Pool) wait(ctx context.Context, keys []string, hops []connect.Method) (*Lease, error) {
	w := p.shared.enqueue(ctx, p.name, p.uses, keys, hops)
	select {
	case got := <-w.ready:
		return got.lease, got.err
	case <-ctx.Done():
		return nil, because(ctx, p.shared.giveUp(w))
	}
}

// keysOf returns the key of the first hop, of the first two, and so on.
func keysOf(hops []connect.Method) ([]string, error) {
	if len(hops) == 0 {
		return nil, errors.New("pool: there is no hop")
	}
	keys, key := make([]string, len(hops)), ""
	for i, hop := range hops {
		last, err := connect.Key(hop)
		if err != nil {
			return nil, err
		}
		key += last
		keys[i] = key
	}
	return keys, nil
}

// Reset has the next lease of a path go over new connections, for example after a change of the
// user's groups there. The connections of all named pools to the end of the path, and those that
// go through them, get no more leases; each is closed when its last lease is given back. Those who
// wait for one that is being opened get another one.
func (p *Pool) Reset(path string) error {
	hops, err := connect.ParsePath(path)
	if err != nil {
		return err
	}
	return p.ResetHops(hops...)
}

// ResetHops is [Pool.Reset] with the hops of a path.
func (p *Pool) ResetHops(hops ...connect.Method) error {
	keys, err := keysOf(hops)
	if err != nil {
		return err
	}
	p.shared.reset(keys[len(keys)-1])
	return nil
}

// Close ends all connections, those of pools by other names, too, and waits for that. Those who
// wait for a lease get [ErrClosed]. The error names processes that survived.
func (p *Pool) Close() error { return p.shared.close() }

// A Lease is the use of a connection until Release.
type Lease struct {
	conn *conn
	once sync.Once
}

// Node returns the context at the end of the path. It must not be closed, and not be used after
// Release.
func (l *Lease) Node() *contexts.Node { return l.conn.link.node }

// Release gives the connection back. Further calls do nothing.
func (l *Lease) Release() { l.once.Do(func() { l.conn.line.host.pool.release(l.conn) }) }
