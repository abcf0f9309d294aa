//go:build linux || darwin || freebsd

package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/broker/door"
	"github.com/mitosis-go/mitosis/contexts/pool"
	"github.com/mitosis-go/mitosis/core"
)

// doors are the brokers of this process.
var doors brokers

type brokers struct {
	mu  sync.Mutex
	all map[*contexts.Node]*broker // guarded by mu; by the local node
}

func (d *brokers) add(b *broker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil {
		d.all = make(map[*contexts.Node]*broker)
	}
	d.all[b.self] = b
}

func (d *brokers) remove(b *broker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.all, b.self)
}

// of returns the broker of a tree.
func (d *brokers) of(self *contexts.Node) (door.Broker, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if b := d.all[self]; b != nil {
		return brokerDoor{b}, nil
	}
	return nil, fmt.Errorf("%w: this is no broker", contexts.ErrRefused)
}

func init() {
	of := doors.of
	door.BrokerOf.Store(&of)
}

// brokerDoor is the broker for those who have joined.
type brokerDoor struct{ b *broker }

// Open implements door.Broker.
func (d brokerDoor) Open(ctx context.Context, q door.OpenRequest) (door.OpenAnswer, error) {
	return d.b.openFor(ctx, contexts.Caller(ctx), q)
}

// Release implements door.Broker.
func (d brokerDoor) Release(ctx context.Context, lease uint64) (struct{}, error) {
	return struct{}{}, d.b.guestLeases.release(d.b, contexts.Caller(ctx).ID(), lease)
}

// guestLeases are those of processes that have joined. A guest's leases end with it.
type guestLeases struct {
	mu  sync.Mutex
	all map[core.ID]map[uint64]*guestLease // guarded by mu
}

// guestLease is a lease of a guest, or one that is being opened.
type guestLease struct {
	lease  *pool.Lease // guarded by the mu of guestLeases: nil while it is being opened
	giveUp context.CancelFunc
}

// openFor connects a path for a guest.
func (b *broker) openFor(ctx context.Context, caller *contexts.Node, q door.OpenRequest) (door.OpenAnswer, error) {
	if caller.Parent() == nil || caller.Parent().ID() != b.self.ID() {
		return door.OpenAnswer{}, contexts.ErrRefused // a context at a host, and no guest
	}
	if len(q.Hops) > maxHops {
		return door.OpenAnswer{}, fmt.Errorf("%w: the path has %d hops; %d are allowed", contexts.ErrTooDeep, len(q.Hops), maxHops)
	}
	hops := make([]connect.Method, len(q.Hops))
	for i, h := range q.Hops {
		var err error
		if hops[i], err = connect.Decode(h); err != nil {
			return door.OpenAnswer{}, err
		}
	}
	if len(b.cfg.Allow) > 0 {
		path, err := connect.FormatPath(hops)
		if err != nil || !allowed(b.cfg.Allow, path) {
			return door.OpenAnswer{}, fmt.Errorf("%w: %s", ErrNotAllowed, pathOf(hops))
		}
	}
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	if err := b.guestLeases.begin(b, caller, q.Lease, giveUp); err != nil {
		return door.OpenAnswer{}, err
	}
	b.use(nil, true)
	l, err := b.lease(ctx, q.Pool, hops, &guestPerson{caller, q.Prompts, b.numbers.Add(1)}, nil)
	if !b.guestLeases.settle(caller.ID(), q.Lease, l) {
		b.unuse(nil, true)
		if l != nil {
			l.Release()
			err = context.Canceled
		}
	}
	if err != nil {
		return door.OpenAnswer{}, err
	}
	return door.OpenAnswer{Node: l.Node()}, nil
}

// begin notes a lease that is being opened.
func (g *guestLeases) begin(b *broker, guest *contexts.Node, id uint64, giveUp context.CancelFunc) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all == nil {
		g.all = make(map[core.ID]map[uint64]*guestLease)
	}
	leases := g.all[guest.ID()]
	if leases == nil {
		leases = make(map[uint64]*guestLease)
		g.all[guest.ID()] = leases
		b.mu.Lock()
		b.goLocked(func() { // the pool's end ends leases that come later
			select {
			case <-guest.Done():
			case <-b.ctx.Done():
			}
			g.releaseAll(b, guest.ID())
		})
		b.mu.Unlock()
	}
	if leases[id] != nil {
		return fmt.Errorf("%w: there is a lease %d", contexts.ErrRefused, id)
	}
	leases[id] = &guestLease{giveUp: giveUp}
	return nil
}

// settle keeps a lease that has been opened until it is given back, or the guest ends. It reports false
// if there is none, or it was given up meanwhile.
func (g *guestLeases) settle(guest core.ID, id uint64, l *pool.Lease) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	entry := g.all[guest][id]
	if entry == nil || l == nil {
		delete(g.all[guest], id)
		return false
	}
	entry.lease = l
	return true
}

func (g *guestLeases) release(b *broker, guest core.ID, id uint64) error {
	g.mu.Lock()
	entry := g.all[guest][id]
	delete(g.all[guest], id)
	g.mu.Unlock()
	if entry == nil {
		return fmt.Errorf("%w: there is no lease %d", contexts.ErrRefused, id)
	}
	b.endGuestLease(entry)
	return nil
}

func (g *guestLeases) releaseAll(b *broker, guest core.ID) {
	g.mu.Lock()
	leases := g.all[guest]
	delete(g.all, guest)
	g.mu.Unlock()
	for _, entry := range leases {
		b.endGuestLease(entry)
	}
}

// endGuestLease ends a lease that is not in the table any more.
func (b *broker) endGuestLease(entry *guestLease) {
	if entry.lease == nil {
		entry.giveUp() // openFor ends its use
		return
	}
	entry.lease.Release()
	b.unuse(nil, true)
}

// guestPerson is the person at a guest.
type guestPerson struct {
	node    *contexts.Node
	prompts bool
	number  uint64 // of the request
}

// place implements person.
func (g *guestPerson) place() uint64 { return g.number }

// ask implements person.
func (g *guestPerson) ask(ctx context.Context, p connect.Prompt) (string, error) {
	if !g.prompts {
		return "", errNobody
	}
	answer, err := door.Ask.Call(ctx, g.node, p)
	if errors.Is(err, contexts.ErrGone) {
		err = errNobody
	}
	return string(answer), err
}

// tell implements person.
func (g *guestPerson) tell(n connect.Notice) {
	if g.prompts {
		_ = door.Tell.CallNoReply(context.Background(), g.node, n)
	}
}
