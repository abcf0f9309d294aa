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
// A connection is the context at the end of a hop path, with those on the way. It has a number
// of leases at a time; another one is made when all are taken, up to a bound for the host and one
// for the pool. Whoever can't be served waits, first come first served. A connection that nobody
// uses for a while is closed. One that is lost is dropped, and the next lease makes another.
//
// Use several pools of one program by [Pool.Named]: a bulk copy in a pool of its own does not
// hold up the calls of others, and the bounds of the host hold for both.
//
// A server that refuses a further connection, though others to it stand, has its bound lowered:
// those who wait share what there is. The bound rises again, one by one, every few minutes.
package pool

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// ErrClosed is the error of a pool that has been closed.
var ErrClosed = errors.New("the pool is closed")

// Config has the bounds of a pool. The zero value is a good choice.
type Config struct {
	// Uses bounds the leases that one connection has at a time. Default: 16.
	Uses int
	// PerHost bounds the connections to one host, those of all named pools together.
	// Default: 4, which sshd's default of MaxStartups lets in at once.
	PerHost int
	// Total bounds the connections in all. Default: 256.
	Total int
	// Idle is the time after which a connection without leases is closed. Default: 10 minutes;
	// less than 0: at once.
	Idle time.Duration
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
	c = c.withDefaults()
	return &Pool{"", c.Uses, newShared(c, func(ctx context.Context, hops []connect.Method) (link, error) {
		return open(ctx, self, hops)
	})}
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
func (p *Pool) GetHops(ctx context.Context, hops ...connect.Method) (*Lease, error) {
	if len(hops) == 0 {
		return nil, errors.New("pool: there is no hop")
	}
	key, err := connect.Key(hops...)
	if err != nil {
		return nil, err
	}
	w := p.shared.enqueue(lineKey{key, p.name}, p.uses, hops)
	select {
	case got := <-w.ready:
		return got.lease, got.err
	case <-ctx.Done():
		p.shared.giveUp(w)
		return nil, context.Cause(ctx)
	}
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

// A link is a connection as the pool sees it.
type link struct {
	node  *contexts.Node
	done  <-chan struct{} // closed when the connection is lost
	close func() error    // waits until all of it has ended
}

// open makes the hops.
func open(ctx context.Context, self *contexts.Node, hops []connect.Method) (link, error) {
	node, err := self.ConnectHops(ctx, hops...)
	if err != nil {
		return link{}, err
	}
	return link{node, node.Done(), self.Toward(node).Close}, nil
}
