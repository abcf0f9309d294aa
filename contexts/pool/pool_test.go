package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
)

// server stands for hosts: it counts connections by path, and refuses what is above its bound.
type server struct {
	mu      sync.Mutex
	bound   int    // for each path; 0: none
	bounded string // the only path with the bound; "": all
	open    map[string]int
	most    map[string]int
	opened  int
	refused int
	paths   map[*contexts.Node]string // of what is open
	lose    map[*contexts.Node]func()
	err     error         // of every connect
	delay   time.Duration // of every connect
	closing time.Duration // of every close
	faults  []string      // against the order of closing
}

var errFull = fmt.Errorf("the server is full: %w", connect.ErrUnreachable)

func (s *server) connect(ctx context.Context, before *contexts.Node, hop connect.Method) (link, error) {
	if s.delay > 0 {
		select {
		case <-time.After(s.delay):
		case <-ctx.Done():
			return link{}, context.Cause(ctx)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := hop.(local.Exec).Name
	if before != nil {
		way, ok := s.paths[before]
		if !ok {
			return link{}, contexts.ErrGone
		}
		name = way + "/" + name
	}
	if s.err != nil {
		return link{}, s.err
	}
	if s.bound > 0 && s.open[name] >= s.bound && (s.bounded == "" || s.bounded == name) {
		s.refused++
		return link{}, errFull
	}
	s.opened++
	s.open[name]++
	s.most[name] = max(s.most[name], s.open[name])
	done, node := make(chan struct{}), new(contexts.Node)
	lose := sync.OnceFunc(func() { close(done) })
	s.paths[node], s.lose[node] = name, lose
	children := func() (n int) {
		for path, open := range s.open {
			if strings.HasPrefix(path, name+"/") {
				n += open
			}
		}
		return n
	}
	return link{node: node, done: done, close: func() error {
		lose()
		time.Sleep(s.closing)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open[name]--
		if s.open[name] == 0 && children() > 0 {
			s.faults = append(s.faults, name)
		}
		delete(s.lose, node)
		delete(s.paths, node)
		return nil
	}}, nil
}

// now returns the number of connections to a path, and the largest there has been.
func (s *server) now(name string) (open, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[name], s.most[name]
}

// set changes the server.
func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func newTestPool(cfg Config) (*Pool, *server) {
	s := &server{open: make(map[string]int), most: make(map[string]int), paths: make(map[*contexts.Node]string), lose: make(map[*contexts.Node]func())}
	return newPool(cfg, s.connect), s
}

// hopsTo returns the hops of a path of names.
func hopsTo(path string) (hops []connect.Method) {
	for name := range strings.SplitSeq(path, "/") {
		hops = append(hops, local.Exec{Argv: []string{"true"}, Name: name})
	}
	return hops
}

func get(t *testing.T, p *Pool, name string) *Lease {
	t.Helper()
	l, err := p.GetHops(t.Context(), hopsTo(name)...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func closePool(t *testing.T, p *Pool, s *server) {
	t.Helper()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	for name, n := range s.open {
		if n != 0 {
			t.Errorf("%d connections to %s are open after Close, want 0", n, name)
		}
	}
	if len(s.faults) > 0 {
		t.Errorf("%v were closed before the connections through them, want after", s.faults)
	}
	if x := p.shared; x.ends != 0 || x.full != 0 || x.ending != 0 || len(x.all) != 0 || x.resting.Len() != 0 {
		t.Errorf("after Close the pool counts %d ends, %d lines that want one, %d that are being closed, %d connections, %d that rest; want 0", x.ends, x.full, x.ending, len(x.all), x.resting.Len())
	}
}

// Leases fill connections one after the other, and the next is lent from the freest, of equal
// ones from that which was used last.
func TestLeasesShareConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newTestPool(Config{Uses: 2, PerHost: 2})
		defer closePool(t, p, s)
		a, b, c := get(t, p, "h"), get(t, p, "h"), get(t, p, "h")
		if s.opened != 2 || a.conn != b.conn || c.conn == a.conn {
			t.Errorf("3 leases of 2 a connection have %d connections, want 2", s.opened)
		}
		a.Release()
		b.Release()
		b.Release() // once more does nothing
		if d := get(t, p, "h"); d.conn != a.conn {
			t.Error("the connection that is not free was lent, and another one is")
		} else {
			d.Release()
		}
		time.Sleep(time.Second)
		c.Release()
		if d := get(t, p, "h"); d.conn != c.conn {
			t.Error("of two free connections, the one that was used longer ago was lent")
		} else {
			d.Release()
		}
	})
}

// Who waits is served in order, and one who gives up is passed over and loses nothing.
func TestWaitersAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newTestPool(Config{Uses: 1, PerHost: 1})
		defer closePool(t, p, s)
		first := get(t, p, "h")
		var order []int
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 5 {
			go func() {
				ctx := ctx
				if i != 2 {
					ctx = t.Context()
				}
				l, err := p.GetHops(ctx, hopsTo("h")...)
				if i == 2 {
					if !errors.Is(err, context.Canceled) {
						t.Errorf("the one that gave up got %v, want context.Canceled", err)
					}
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, i)
				l.Release()
			}()
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		first.Release()
		synctest.Wait()
		if got := fmt.Sprint(order); got != "[0 1 3 4]" {
			t.Errorf("they were served in the order %s, want [0 1 3 4]", got)
		}
		if s.opened != 1 {
			t.Errorf("%d connections were opened, want 1", s.opened)
		}
	})
}

// A server that refuses more lowers the bound, nobody gets an error, and the bound rises later.
func TestBoundIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newTestPool(Config{Uses: 1, PerHost: 8})
		defer closePool(t, p, s)
		s.bound = 3
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				l := get(t, p, "h")
				time.Sleep(time.Second)
				l.Release()
			})
		}
		all.Wait()
		if _, most := s.now("h"); most != 3 || s.refused > 8 {
			t.Errorf("at most %d connections and %d refusals, want 3, and few", most, s.refused)
		}
		if got := p.Hosts()[0]; got.Bound != 3 || !errors.Is(got.Refusal, errFull) {
			t.Errorf("the bound is %d by %v, want 3 by the server's refusal", got.Bound, got.Refusal)
		}
		s.set(func() { s.bound = 0 })
		for range 6 {
			time.Sleep(longPause + time.Second)
			for range 8 {
				all.Go(func() {
					l := get(t, p, "h")
					time.Sleep(time.Second)
					l.Release()
				})
			}
			all.Wait()
		}
		if _, most := s.now("h"); most != 8 {
			t.Errorf("after half an hour at most %d connections, want 8", most)
		}
	})
}

// An error of a host with no connection is that of all who wait, and of nobody later.
func TestErrorsAreForThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newTestPool(Config{})
		defer closePool(t, p, s)
		s.err, s.delay = errors.New("no such key"), time.Second
		var all sync.WaitGroup
		for range 40 {
			all.Go(func() {
				if _, err := p.GetHops(t.Context(), hopsTo("h")...); !errors.Is(err, s.err) {
					t.Errorf("%v, want the error of the connect", err)
				}
			})
		}
		all.Wait()
		s.set(func() { s.err = nil })
		get(t, p, "h").Release()
	})
}

// A lost connection is dropped, and what is idle for long is closed.
func TestLostAndIdleConnectionsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newTestPool(Config{Idle: time.Minute})
		defer closePool(t, p, s)
		l := get(t, p, "h")
		s.set(func() {
			for _, lose := range s.lose {
				lose()
			}
		})
		synctest.Wait()
		again := get(t, p, "h")
		if again.conn == l.conn {
			t.Error("the lost connection was lent again")
		}
		l.Release()
		time.Sleep(2 * time.Minute) // it is in use
		if open, _ := s.now("h"); open != 1 {
			t.Errorf("%d connections are open, want the one in use", open)
		}
		again.Release()
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if open, _ := s.now("h"); open != 0 {
			t.Errorf("%d connections are open after the idle time, want 0", open)
		}
		if stats, hosts := p.Stats(), p.Hosts(); len(stats)+len(hosts) != 0 {
			t.Errorf("the pool still knows %+v and %+v, want nothing", stats, hosts)
		}
	})
}

// A named pool has its own connections, and gets room although the other pool is always in use.
func TestNamedPoolsShareTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newTestPool(Config{Uses: 2, PerHost: 1})
		defer closePool(t, p, s)
		bulk := p.Named("bulk", 1)
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				for ctx.Err() == nil {
					l := get(t, p, "h")
					time.Sleep(time.Second)
					l.Release()
				}
			})
		}
		time.Sleep(10 * time.Second)
		for range 3 {
			began := time.Now()
			l := get(t, bulk, "h")
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("the bulk stream waited %v beside calls of a second, want a few seconds", took)
			}
			if l.conn.uses != 1 {
				t.Error("the bulk stream shares its connection")
			}
			time.Sleep(5 * time.Second)
			l.Release()
			time.Sleep(5 * time.Second)
		}
		stop()
		all.Wait()
		if _, most := s.now("h"); most != 1 {
			t.Errorf("at most %d connections, want 1", most)
		}
	})
}

// Room for one more is made by the connection that was used longest ago, and the way to it; and
// by no others.
func TestRoomIsMadeByTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newTestPool(Config{Total: 3})
		defer closePool(t, p, s)
		s.closing = time.Second
		for _, path := range []string{"a/x", "b", "c"} {
			get(t, p, path).Release()
			time.Sleep(time.Second)
		}
		time.AfterFunc(500*time.Millisecond, func() { get(t, p, "c").Release() }) // while one is being closed
		d := get(t, p, "d")
		s.wantOpen(t, "for a fourth path", map[string]int{"a/x": 0, "a": 0, "b": 1, "c": 1, "d": 1})
		d.Release()
	})
}

// The bound of all hosts holds, and a connection that is idle makes room for another host.
func TestTotalBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newTestPool(Config{Uses: 1, Total: 3})
		defer closePool(t, p, s)
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				l := get(t, p, fmt.Sprint("h", i%40))
				s.mu.Lock()
				open := 0
				for _, n := range s.open {
					open += n
				}
				s.mu.Unlock()
				if open > 3 {
					t.Errorf("%d connections are open, want at most 3", open)
				}
				time.Sleep(time.Second)
				l.Release()
			})
		}
		all.Wait()
	})
}

// A real connection that ends by itself is dropped, all of a path is closed, and the error of a
// hop is that of Connect.
func TestConnectionsOfRealHops(t *testing.T) {
	self, err := contexts.Start(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	p := New(self, nil)
	first, err := p.Get(t.Context(), "local/local")
	if err != nil {
		t.Fatal(err)
	}
	if first.Node().Parent().Parent() != self {
		t.Errorf("the path of two hops leads to %v", first.Node())
	}
	if err := first.Node().Parent().Close(); err != nil {
		t.Fatal(err)
	}
	<-first.Node().Done()
	second, err := p.Get(t.Context(), "local/local")
	if err != nil || second.Node() == first.Node() {
		t.Errorf("after the loss of a connection: %v, want another one", err)
	}
	first.Release()
	second.Release()
	if _, err := p.Get(t.Context(), "local/nothing"); err == nil {
		t.Error("a path with a hop that does not exist has a lease")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	tree, err := self.Tree(t.Context())
	if err != nil || len(tree) != 1 {
		t.Errorf("after Close the tree has %d contexts, %v, want the master alone", len(tree), err)
	}
}
