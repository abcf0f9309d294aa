package fleet

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// The broker hands members that are to be connected to contexts that are up.
//
// A member is owned by its managed host, whose one goroutine makes one attempt after the
// other. Before each it asks the broker for a context to connect from. The ask is in one
// place at a time: it waits in its class, where dispatch takes it; or it was granted a
// station, which ended gives back when the attempt is over; or it was given up, by its
// goroutine alone. So an attempt under way belongs to one station, and when that one is lost
// the attempt fails, and the member asks again and is granted another.
//
// Goroutines: one for each station that is needed, run, until the station can't be connected,
// is closed, or stop.
type broker struct {
	// Immutable.
	self   *contexts.Node
	master *station // always up

	mu       sync.Mutex
	stations map[string]*station
	ctx      context.Context // of the goroutines; nil before the first
	cancel   context.CancelFunc
	running  *sync.WaitGroup
}

// A station is a context that may be above members.
type station struct {
	member *Member // nil: the master
	most   int     // connects at once

	// Guarded by the broker's mu.
	node     *contexts.Node // nil while it is not up
	depth    int            // hops from the master to it
	running  bool           // its goroutine runs
	connects int            // under way
	children int            // members that are there, or under way
	life     int            // counts the contexts that it had
	err      error          // why it is not up
	failures int
	again    time.Time // not to be connected before that
	classes  []*class
}

// A class is the members with the same stations above them.
type class struct {
	// Immutable after grow.
	broker   *broker
	via      HostSet
	stations []*station
	last     *station // serves while none of the others can be connected; may be nil
	children int      // of one station; 0: any number
	depth    int      // of the members; 0: any
	through  bool

	// Guarded by the broker's mu.
	urgent  []*ask // of stations
	waiting []*ask
	free    []*station // that had room when they were listed, each once
	listed  map[*station]bool
	next    int // the station to look at first when one more is to be connected
	started int // stations that are being connected
	running int // stations whose goroutines run
}

// ask is one member's wait for a station.
type ask struct {
	class   *class
	urgent  bool     // the member may be above others
	avoid   *station // from which the last attempt has failed; may be nil
	granted chan struct{}

	// Guarded by the broker's mu until granted is closed.
	gone    bool // nobody waits any more
	station *station
	node    *contexts.Node
	life    int
	err     error
}

func newBroker(self *contexts.Node) *broker {
	return &broker{
		self: self, stations: make(map[string]*station),
		master: &station{node: self, most: connectsOfOne},
	}
}

func (b *broker) class(via HostSet) *class {
	return &class{broker: b, via: via, listed: make(map[*station]bool)}
}

// station returns the station of a name.
func (b *broker) station(name string, m *Member) *station {
	s := b.stations[name]
	if s == nil {
		s = &station{member: m, most: connectsOfOne}
		b.stations[name] = s
	}
	return s
}

func (k *class) add(stations ...*station) {
	k.stations = append(k.stations, stations...)
	for _, s := range stations {
		s.classes = append(s.classes, k)
		if s.node != nil {
			k.offerLocked(s)
		}
	}
}

// wait waits for a station to connect from. ended gives it back.
func (b *broker) wait(ctx context.Context, a *ask) error {
	b.mu.Lock()
	if a.urgent {
		a.class.urgent = append(a.class.urgent, a)
	} else {
		a.class.waiting = append(a.class.waiting, a)
	}
	a.class.dispatchLocked()
	b.mu.Unlock()
	select {
	case <-a.granted:
		return a.err
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-a.granted: // at the same moment
		if a.station != nil {
			b.endedLocked(a, false)
		}
	default:
		a.gone = true
	}
	return context.Cause(ctx)
}

// ended is called when an attempt that was granted has ended; connected says how. Of one
// that succeeded, left tells later that its context is gone.
func (b *broker) ended(a *ask, connected bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.endedLocked(a, connected)
}

func (b *broker) endedLocked(a *ask, connected bool) {
	a.station.connects--
	if !connected && a.life == a.station.life {
		a.station.children--
	}
	a.station.roomLocked()
}

// left is called when a member that was connected by an ask is not there any more.
func (b *broker) left(a *ask) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.life == a.station.life {
		a.station.children--
		a.station.roomLocked()
	}
}

// roomLocked is called when a station may have room.
func (s *station) roomLocked() {
	for _, k := range s.classes {
		k.offerLocked(s)
		k.dispatchLocked()
	}
}

// hasRoom reports whether a station can take a member of the class now.
func (k *class) hasRoom(s *station) bool {
	switch {
	case s.node == nil || s.node.Err() != nil || s.connects >= s.most:
		return false
	case s.member == nil:
		return true
	}
	return (k.children == 0 || s.children < k.children) && (k.depth == 0 || s.depth < k.depth)
}

func (k *class) offerLocked(s *station) {
	if k.hasRoom(s) && !k.listed[s] && s != k.last {
		k.listed[s] = true
		k.free = append(k.free, s)
	}
}

// takeFreeLocked returns a station with room, nil if there is none. They come in turn. avoid
// comes only where no other is up.
func (k *class) takeFreeLocked(avoid *station) *station {
	for range len(k.free) {
		s := k.free[0]
		k.free = k.free[1:]
		k.listed[s] = false
		if !k.hasRoom(s) {
			continue
		}
		if s == avoid && k.otherUp(s) {
			k.offerLocked(s)
			continue
		}
		return s
	}
	return nil
}

func (k *class) otherUp(than *station) bool {
	for _, s := range k.stations {
		if s != than && s.node != nil && s.node.Err() == nil && (k.depth == 0 || s.depth < k.depth) {
			return true
		}
	}
	return false
}

// nextLocked returns the ask whose turn it is, nil if there is none. It stays where it is.
func (k *class) nextLocked() (a *ask, from *[]*ask) {
	for _, from = range []*[]*ask{&k.urgent, &k.waiting} {
		for len(*from) > 0 {
			if a = (*from)[0]; !a.gone {
				return a, from
			}
			*from = (*from)[1:]
		}
	}
	return nil, nil
}

// dispatchLocked grants what can be granted. While members wait, one station more is
// connected. If none can be, the members fail.
func (k *class) dispatchLocked() {
	for {
		a, from := k.nextLocked()
		if a == nil {
			return
		}
		s := k.takeFreeLocked(a.avoid)
		if s == nil && !k.hopeLocked() {
			if k.last == nil {
				*from = (*from)[1:]
				a.err = k.reasonLocked()
				close(a.granted)
				continue
			}
			if s = k.last; s.connects >= s.most {
				return // it tells when it has
			}
		}
		if s == nil {
			return
		}
		*from = (*from)[1:]
		s.connects++
		s.children++
		a.station, a.node, a.life = s, s.node, s.life
		close(a.granted)
		k.offerLocked(s)
	}
}

// hopeLocked connects one more station where members wait for one, and reports whether one
// of the class is up, or may be soon.
func (k *class) hopeLocked() bool {
	each := 1 // stations of a rule are there to be used
	if k.children > 0 {
		each = 4
	}
	helped := k.running > 0 || len(k.stations) > 0 && k.stations[0].member == nil // the master comes first
	if each*k.started < len(k.waiting)+len(k.urgent) {
		look := len(k.stations)
		if helped {
			look = min(look, stationsLookedAt)
		}
		now := time.Now()
		for range look {
			s := k.stations[k.next]
			k.next = (k.next + 1) % len(k.stations)
			if s.member != nil && !s.running && s.node == nil && now.After(s.again) {
				k.broker.runLocked(s)
				return true
			}
		}
	}
	return helped
}

// stationsLookedAt bounds the search for one more station, which is made for each member that
// waits. The next search goes on where this one ends.
const stationsLookedAt = 32

func (k *class) reasonLocked() error {
	var errs []error
	for _, s := range k.stations {
		if s.err != nil && len(errs) < 3 {
			errs = append(errs, s.err)
		}
	}
	return &ViaError{Via: k.via, Err: errors.Join(errs...)}
}

// runLocked starts the goroutine of a station.
func (b *broker) runLocked(s *station) {
	if b.ctx == nil {
		b.ctx, b.cancel = context.WithCancel(context.Background())
		b.running = new(sync.WaitGroup)
	}
	s.runsLocked(true)
	for _, k := range s.classes {
		k.started++
	}
	ctx := b.ctx
	b.running.Go(func() { b.run(ctx, s) })
}

// runsLocked notes whether the goroutine of a station runs.
func (s *station) runsLocked(runs bool) {
	s.running = runs
	for _, k := range s.classes {
		if runs {
			k.running++
		} else {
			k.running--
		}
	}
}

// run keeps the broker informed of a station, until it can't be connected.
func (b *broker) run(ctx context.Context, s *station) {
	for lost := false; ; lost = true {
		n, err := connectOnce(ctx, s.member.target)
		b.mu.Lock()
		for _, k := range s.classes {
			if !lost {
				k.started--
			}
		}
		if s.err = err; err != nil {
			s.runsLocked(false)
			s.failures++
			s.again = time.Now().Add(min(time.Duration(s.failures)*250*time.Millisecond, 10*time.Second))
			s.roomLocked()
			b.mu.Unlock()
			return
		}
		s.node, s.failures, s.depth = n, 0, depthOf(n)
		s.roomLocked()
		b.mu.Unlock()
		select {
		case <-n.Done():
		case <-ctx.Done():
		}
		b.mu.Lock()
		s.node, s.children = nil, 0
		s.life++
		s.err = n.Err()
		over := ctx.Err() != nil || errors.Is(s.err, contexts.ErrClosed)
		if over {
			s.runsLocked(false)
			s.roomLocked()
		}
		b.mu.Unlock()
		if over {
			return
		}
	}
}

// connectOnce connects a target, and returns the error of the first attempt that fails.
func connectOnce(ctx context.Context, target contexts.Target) (*contexts.Node, error) {
	if err := ctx.Err(); err != nil {
		return nil, contexts.ErrClosed
	}
	if h, ok := target.(*contexts.ManagedHost); ok {
		return h.Try(ctx)
	}
	return contexts.NodeOf(ctx, target)
}

// depthOf returns how many hops there are from the master to a context.
func depthOf(n *contexts.Node) (hops int) {
	for up := n.Parent(); up != nil && up != n; up = n.Parent() {
		n = up
		hops++
	}
	return hops
}

// stop ends the goroutines and waits for them. A later ask starts them anew.
func (b *broker) stop() {
	b.mu.Lock()
	running := b.running
	if b.cancel != nil {
		b.cancel()
	}
	b.ctx, b.cancel, b.running = nil, nil, nil
	b.mu.Unlock()
	if running != nil {
		running.Wait()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.stations {
		s.again, s.err, s.failures = time.Time{}, nil, 0
	}
}
