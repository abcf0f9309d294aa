//go:build linux || darwin || freebsd

package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/attach"
	"github.com/mitosis-go/mitosis/contexts/broker/client"
	"github.com/mitosis-go/mitosis/contexts/broker/door"
	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
	"github.com/mitosis-go/mitosis/internal/usersocket"
)

// Client is this process as a guest in the broker's tree.
type Client struct {
	member *attach.Member
	cfg    contexts.Config
	leases atomic.Uint64  // the number of the last one
	work   sync.WaitGroup // goroutines that open leases
}

// Dial joins the tree of the user's broker. nil is the zero DialConfig. ctx bounds the joining
// only.
//
// The error matches [ErrNotRunning] where there is no broker, and bootstrap.ErrFingerprint where
// the broker is another program, or one built from other sources.
func Dial(ctx context.Context, cfg *DialConfig) (*Client, error) {
	var d DialConfig
	if cfg != nil {
		d = *cfg
	}
	if d.Socket == "" {
		d.Socket = SocketPath(d.Name)
	}
	const tries = 5 // a broker may come to its end while we join
	for try := 1; ; try++ {
		conn, err := dialOrStart(ctx, &d)
		if err != nil {
			return nil, fmt.Errorf("broker: %w", err)
		}
		c, err := join(ctx, conn, d.Tree)
		if err == nil {
			return c, nil
		}
		ended := ctx.Err() == nil && (client.Ended(err) || errors.Is(err, context.Canceled) || failureOf(err).kind == "closed")
		if ended {
			err = fmt.Errorf("%w: %w", ErrNotRunning, err)
		}
		if !ended || d.Start == nil || try == tries {
			return nil, fmt.Errorf("broker: %w", err)
		}
	}
}

// dialOrStart connects with the broker, which it starts if there is none.
func dialOrStart(ctx context.Context, d *DialConfig) (net.Conn, error) {
	conn, err := client.Connect(ctx, d.Socket)
	if d.Start == nil || !errors.Is(err, ErrNotRunning) {
		return conn, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for pause := 10 * time.Millisecond; ; pause *= 2 {
		if err := d.Start(ctx); err != nil {
			return nil, err
		}
		// Where another one was running, it may not listen yet, or not any more.
		if conn, err = client.Connect(ctx, d.Socket); !errors.Is(err, ErrNotRunning) {
			return conn, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// startTime bounds the wait for a broker that has been started.
const startTime = 10 * time.Second

// join turns a connection into a link of the tree.
func join(ctx context.Context, conn net.Conn, tree *contexts.Config) (*Client, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	in := wire.NewReader(conn)
	err := wire.NewWriter(conn).Write(
		wire.Frame{Header: wire.Greeting{Mitosis: "client", Version: wire.Version, Name: "go"}},
		wire.Frame{Header: wire.ClientFrame{Op: "join"}})
	if err == nil {
		err = hear(in)
	}
	if !stop() && err != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	c := new(Client)
	if tree != nil {
		c.cfg = *tree
	}
	m, err := attach.JoinBy(ctx, &usersocket.Begun{Conn: conn, Left: in.Buffered()}, tree)
	if err != nil {
		return nil, err
	}
	c.member = m
	guests.add(c)
	return c, nil
}

// hear reads the broker's greeting and its answer to "join".
func hear(in *wire.Reader) error {
	for range 2 {
		var g struct {
			Error *wire.Error `json:"error"`
		}
		if _, err := in.Next(&g, wire.MaxHeader, wire.MaxBody); err != nil {
			return err
		}
		if g.Error != nil {
			return &failure{g.Error.Kind, errors.New(g.Error.Message)}
		}
	}
	return nil
}

// Local returns the node of this process in the broker's tree.
func (c *Client) Local() *contexts.Node { return c.member.Local() }

// Broker returns the node of the broker.
func (c *Client) Broker() *contexts.Node { return c.member.Listener() }

// Tree describes the broker and all contexts below it. Info.Node is nil for contexts that this
// process may not use.
func (c *Client) Tree(ctx context.Context) ([]contexts.Info, error) { return c.member.Tree(ctx) }

// Get has the broker connect a hop path, unless it is connected: see [connect.ParsePath]. Questions
// of the hops go to Prompt and Notify of DialConfig.Tree.
func (c *Client) Get(ctx context.Context, path string) (*Lease, error) {
	hops, err := connect.ParsePath(path)
	if err != nil {
		return nil, err
	}
	return c.GetHops(ctx, "", hops...)
}

// GetHops is [Client.Get] with the hops of a path, in the pool of a name: see pool.Pool.Named.
func (c *Client) GetHops(ctx context.Context, pool string, hops ...connect.Method) (*Lease, error) {
	q := door.OpenRequest{Pool: pool, Prompts: c.cfg.Prompt != nil}
	for _, h := range hops {
		b, err := connect.Encode(h)
		if err != nil {
			return nil, err
		}
		q.Hops = append(q.Hops, b)
	}
	q.Lease = c.leases.Add(1)
	opened := make(chan openResult, 1)
	c.work.Go(func() {
		a, err := door.Open.Call(context.WithoutCancel(ctx), c.Broker(), q)
		opened <- openResult{a.Node, err}
	})
	select {
	case r := <-opened:
		if r.err != nil {
			return nil, reason(r.err)
		}
		return &Lease{c: c, node: r.node, id: q.Lease}, nil
	case <-ctx.Done():
		c.work.Go(func() { c.giveUp(q.Lease, opened) })
		return nil, context.Cause(ctx)
	}
}

type openResult struct {
	node *contexts.Node
	err  error
}

// giveUp gives a lease back that may be there, or may come. The call that opens it may begin at the
// broker after the one that gives it back.
func (c *Client) giveUp(id uint64, opened <-chan openResult) {
	for {
		if _, err := door.Release.Call(context.Background(), c.Broker(), id); err == nil {
			return
		}
		select {
		case r := <-opened:
			if r.err == nil {
				_, _ = door.Release.Call(context.Background(), c.Broker(), id)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// reason takes off what says only that the broker was asked. The rest has the path of the hop.
func reason(err error) error {
	if e, ok := err.(*contexts.Error); ok && e.Err != nil {
		return e.Err
	}
	return err
}

// Close leaves the broker. What this process has started ends.
func (c *Client) Close() error {
	guests.remove(c)
	err := c.member.Close()
	c.work.Wait()
	return err
}

// A Lease is the use of a connection until Release.
type Lease struct {
	c    *Client
	node *contexts.Node
	id   uint64
	once sync.Once
}

// Node returns the context at the end of the path. It must not be closed.
func (l *Lease) Node() *contexts.Node { return l.node }

// Release gives the connection back. Further calls do nothing.
func (l *Lease) Release() {
	l.once.Do(func() { _ = door.Release.CallNoReply(context.Background(), l.c.Broker(), l.id) })
}

// guests are the clients of this process.
var guests clients

type clients struct {
	mu  sync.Mutex
	all map[*contexts.Node]*Client // guarded by mu; by the local node
}

func (g *clients) add(c *Client) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all == nil {
		g.all = make(map[*contexts.Node]*Client)
	}
	g.all[c.Local()] = c
}

func (g *clients) remove(c *Client) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.all, c.Local())
}

// of returns the client of this process in a tree.
func (g *clients) of(self *contexts.Node) (door.Guest, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.all[self]; c != nil {
		return clientDoor{c}, nil
	}
	return nil, fmt.Errorf("%w: this process has joined no broker", contexts.ErrRefused)
}

func init() {
	of := guests.of
	door.GuestOf.Store(&of)
}

// clientDoor is the client for its broker.
type clientDoor struct{ c *Client }

// isAsked reports whether the broker has called.
func (d clientDoor) isAsked(ctx context.Context) bool {
	return contexts.Caller(ctx).ID() == d.c.Broker().ID()
}

// Ask implements door.Guest.
func (d clientDoor) Ask(ctx context.Context, p connect.Prompt) (connect.Secret, error) {
	if d.c.cfg.Prompt == nil || !d.isAsked(ctx) {
		return "", contexts.ErrRefused
	}
	answer, err := d.c.cfg.Prompt(ctx, p)
	return connect.Secret(answer), err
}

// Tell implements door.Guest.
func (d clientDoor) Tell(ctx context.Context, n connect.Notice) (struct{}, error) {
	if d.c.cfg.Notify != nil && d.isAsked(ctx) {
		d.c.cfg.Notify(ctx, n)
	}
	return struct{}{}, nil
}
