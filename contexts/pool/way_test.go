package pool

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// wantOpen checks how many connections to paths are open.
func (s *server) wantOpen(t *testing.T, why string, want map[string]int) {
	t.Helper()
	for path, n := range want {
		if open, _ := s.now(path); open != n {
			t.Errorf("%s: %d connections to %s are open, want %d", why, open, path, n)
		}
	}
}

// A path and the one before it go over one connection, which stands as long as it is needed.
func TestPathsShareTheirWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newTestPool(Config{Uses: 1, Idle: time.Minute})
		defer closePool(t, p, s)
		web, root := get(t, p, "web"), get(t, p, "web/sudo")
		box := get(t, p, "web/box")
		if root.conn.through != web.conn || box.conn.through != web.conn || s.opened != 3 {
			t.Errorf("three paths through one host have %d connections, want 3, each child through that of the host", s.opened)
		}
		web.Release()
		again := get(t, p, "web")
		if again.conn != web.conn {
			t.Error("what goes through a connection counts as a lease of it, and should not")
		}
		again.Release()
		box.Release()
		time.Sleep(2 * time.Minute)
		s.wantOpen(t, "two minutes after the last use of the host itself", map[string]int{"web": 1, "web/sudo": 1, "web/box": 0})
		root.Release()
		time.Sleep(59 * time.Second)
		s.wantOpen(t, "59 s after the last use", map[string]int{"web": 1, "web/sudo": 1})
		time.Sleep(2 * time.Second)
		s.wantOpen(t, "61 s after the last use", map[string]int{"web": 0, "web/sudo": 0})
		// The use of a connection is one of those on the way.
		root = get(t, p, "web/sudo")
		time.Sleep(5 * time.Minute)
		if err := p.ResetHops(hopsTo("web/sudo")...); err != nil {
			t.Fatal(err)
		}
		root.Release()
		time.Sleep(59 * time.Second)
		s.wantOpen(t, "59 s after the last use", map[string]int{"web": 1, "web/sudo": 0})
		// A path is opened as a whole, and each name has its own.
		deep, other := get(t, p, "web/sudo/box"), get(t, p.Named("bulk", 1), "web/sudo/box")
		s.wantOpen(t, "with two names", map[string]int{"web": 2, "web/sudo": 2, "web/sudo/box": 2})
		deep.Release()
		other.Release()
	})
}

// A further connection to the same end has a way of its own where the bounds allow one, and no
// other path has: streams share no link, and whoever waits for one that is not let in shares it.
func TestFurtherConnectionsHaveWaysOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newTestPool(Config{PerHost: 4})
		defer closePool(t, p, s)
		bulk := p.Named("bulk", 1)
		var all []*Lease
		lease := func(path string, ways, ends int) {
			t.Helper()
			all = append(all, get(t, bulk, path))
			s.wantOpen(t, path, map[string]int{"web": ways, path: ends})
		}
		lease("web/sudo", 1, 1)
		lease("web/box", 1, 1)
		lease("web/sudo", 2, 2)
		lease("web", 2, 2)
		lease("web/box", 2, 2)
		s.set(func() { s.bound, s.bounded, s.delay = 2, "web", 100*time.Millisecond })
		began := time.Now()
		lease("web/sudo", 2, 3)
		if took := time.Since(began); took != 200*time.Millisecond {
			t.Errorf("with the server's refusal the lease came after %v, want after that and the last hop, 200 ms", took)
		}
		lease("web/sudo", 2, 4)
		for _, l := range all {
			l.Release()
		}
	})
}

// With the loss of a connection those through it are lost, whoever uses them, and all is made
// anew. That is no error of those who wait, unless what is made anew is lost, too.
func TestLossOfTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newTestPool(Config{Uses: 1})
		defer closePool(t, p, s)
		root := get(t, p, "web/sudo")
		lose := func(path string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for node, lose := range s.lose {
				if s.paths[node] == path {
					lose()
				}
			}
		}
		lose("web")
		again := get(t, p, "web/sudo") // before the pool has noticed
		if again.conn == root.conn || again.conn.through == root.conn.through {
			t.Error("after the loss of the host the next lease goes over it")
		}
		synctest.Wait()
		s.wantOpen(t, "after the loss", map[string]int{"web": 1, "web/sudo": 1})
		root.Release()
		again.Release()

		// While something is being opened through it.
		s.set(func() { s.delay = time.Second })
		time.AfterFunc(500*time.Millisecond, func() { lose("web") })
		if box, err := p.GetHops(t.Context(), hopsTo("web/box")...); err != nil {
			t.Errorf("the host was lost while the last hop was made: %v, want all made anew", err)
		} else {
			box.Release()
		}
		lose("web")
		synctest.Wait()
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-time.After(1500 * time.Millisecond): // always within the last hop
					lose("web")
				case <-stop:
					return
				}
			}
		}()
		began := time.Now()
		if _, err := p.GetHops(t.Context(), hopsTo("web/box")...); !errors.Is(err, contexts.ErrGone) {
			t.Errorf("the host is lost again and again: %v, want ErrGone", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it is an error after %v, want after the second loss", took)
		}
		close(stop)
	})
}

// What only those who wait could give back is not waited for; what rests makes room with all
// through it.
func TestNobodyWaitsForThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		get := func(p *Pool, path string) *Lease {
			t.Helper()
			l, err := p.GetHops(ctx, hopsTo(path)...)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			return l
		}
		p, s := newTestPool(Config{Uses: 1, PerHost: 1, Total: 1})
		defer closePool(t, p, s)
		for _, path := range []string{"a", "a/b", "a/b/c", "z/y/x", "z", "a/q"} {
			get(p, path).Release()
		}
		// With leases of all on the way.
		a := get(p, "a")
		b := get(p, "a/b")
		c := get(p, "a/b/c")
		for _, l := range []*Lease{a, b, c} {
			l.Release()
		}
		get(p.Named("bulk", 1), "a/b/c/d").Release()
		get(p, "a").Release()
		s.wantOpen(t, "the other name had to have the host", map[string]int{"a": 1, "a/b": 0})

		// Many at once, in two names, through each other's hosts.
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				from := p
				if i%3 == 0 {
					from = p.Named("bulk", 1)
				}
				l := get(from, []string{"a", "a/b", "a/b/c", "z/b"}[i%4])
				time.Sleep(100 * time.Millisecond)
				l.Release()
			})
		}
		all.Wait()
	})
}

// The opening of each hop has the values of the first who waits, says for whom it is, and ends
// when nobody waits any more.
func TestOpening(t *testing.T) {
	type of struct{ what string }
	synctest.Test(t, func(t *testing.T) {
		var told []string
		p, s := newTestPool(Config{Uses: 4, Opening: func(ctx context.Context, key string) context.Context {
			if _, ok := ctx.Deadline(); ok {
				t.Error("an opening has the deadline of the first who waits")
			}
			for _, path := range []string{"web", "web/sudo"} {
				if keys, err := keysOf(hopsTo(path)); err != nil || keys[len(keys)-1] == key {
					told = append(told, ctx.Value(of{"name"}).(string)+" opens "+path)
				}
			}
			return ctx
		}})
		defer closePool(t, p, s)
		s.delay = time.Second
		named := func(name string, patience time.Duration) (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.WithValue(t.Context(), of{"name"}, name), patience)
		}
		var all sync.WaitGroup
		wait := func(name, path string, patience time.Duration, want error) {
			all.Go(func() {
				ctx, cancel := named(name, patience)
				defer cancel()
				l, err := p.GetHops(ctx, hopsTo(path)...)
				if !errors.Is(err, want) {
					t.Errorf("%s got %v, want %v", name, err, want)
				}
				if err == nil {
					l.Release()
				}
			})
			synctest.Wait()
		}
		wait("ann", "web/sudo", 500*time.Millisecond, context.DeadlineExceeded)
		wait("bob", "web/sudo", time.Minute, nil)
		wait("cid", "web", time.Minute, nil)
		all.Wait()
		if want := []string{"ann opens web", "bob opens web/sudo"}; !slices.Equal(told, want) {
			t.Errorf("%q, want %q", told, want)
		}

		// A login that hangs.
		s.set(func() { s.delay = 1000 * time.Hour })
		wait("dan", "hang/sudo", time.Second, context.DeadlineExceeded)
		wait("eve", "hang/sudo", 2*time.Second, context.DeadlineExceeded)
		time.Sleep(1500 * time.Millisecond)
		if n := count(p, "hang", Opening); n != 1 {
			t.Errorf("%d connections are being opened, want that for which one still waits", n)
		}
		all.Wait()
		synctest.Wait()
		for _, state := range []State{Opening, Ready, Leaving} {
			if n := count(p, "hang", state); n != 0 {
				t.Errorf("nobody waits, and %d connections that hang are left, %v", n, state)
			}
		}
	})
}

// An opening for which nobody waits, since all were served by others, ends after a while.
func TestSurplusOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newTestPool(Config{Uses: 1})
		defer closePool(t, p, s)
		first := get(t, p, "h")
		s.set(func() { s.delay = 1000 * time.Hour })
		go func() {
			if _, err := p.GetHops(t.Context(), hopsTo("h")...); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		first.Release()
		time.Sleep(surplus - time.Second)
		if n := count(p, "h", Opening); n != 1 {
			t.Errorf("%d connections are being opened, want 1: it may soon be of use", n)
		}
		time.Sleep(2 * time.Second)
		if n := count(p, "h", Opening); n != 0 {
			t.Errorf("%d connections are being opened after %v, want 0", n, surplus)
		}
	})
}

// count returns the connections whose last hop has a name, in a state.
func count(p *Pool, name string, state State) (n int) {
	p.shared.mu.Lock()
	defer p.shared.mu.Unlock()
	for c := range p.shared.all {
		if c.state == state && c.line.host.hops[len(c.line.host.hops)-1].Label() == hopsTo(name)[0].Label() {
			n++
		}
	}
	return n
}

// Reset has leases go over new connections, and takes none away.
func TestReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newTestPool(Config{Uses: 4})
		defer closePool(t, p, s)
		web, root, bulk, other := get(t, p, "web"), get(t, p, "web/sudo"), get(t, p.Named("bulk", 1), "web/sudo"), get(t, p, "other")
		get(t, p, "web/box").Release()
		reset := func(path string) {
			t.Helper()
			if err := p.ResetHops(hopsTo(path)...); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		reset("nothing")
		reset("web/sudo")
		s.wantOpen(t, "after the reset", map[string]int{"web": 2, "web/sudo": 2, "web/box": 1, "other": 1})
		second := get(t, p, "web/sudo")
		if second.conn == root.conn || second.conn.through != web.conn {
			t.Error("after the reset of a path, a lease goes over the old connection, or over a new host")
		}
		reset("web")
		s.wantOpen(t, "after the reset", map[string]int{"web": 2, "web/sudo": 3, "web/box": 0, "other": 1})
		third := get(t, p, "web/sudo")
		if third.conn.through == web.conn {
			t.Error("after the reset of the host, a lease goes over the old one")
		}
		web.Release()
		synctest.Wait()
		s.wantOpen(t, "with leases of paths through the host", map[string]int{"web": 3})
		for _, l := range []*Lease{root, bulk, second} {
			l.Release()
		}
		synctest.Wait()
		s.wantOpen(t, "after the last leases", map[string]int{"web": 1, "web/sudo": 1, "other": 1})
		if again := get(t, p, "other"); again.conn != other.conn {
			t.Error("the reset took another host")
		} else {
			again.Release()
		}
		third.Release()

		// One that is being opened may be of the time before: those who wait get another.
		s.set(func() { s.delay = time.Second })
		began := time.Now()
		time.AfterFunc(500*time.Millisecond, func() { reset("new") })
		get(t, p, "new/sudo").Release()
		if took := time.Since(began); took != 2500*time.Millisecond {
			t.Errorf("the lease came after %v, want 2.5 s: the reset has the first hop made anew", took)
		}
		other.Release()
	})
}

// Nothing is kept of paths that could not be connected: a program that is given many wrong ones does
// not grow.
func TestNothingIsKeptOfWrongPaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newTestPool(Config{})
		defer closePool(t, p, s)
		for _, lasting := range []error{errors.New("no such host"), connect.ErrUnreachable} {
			s.set(func() { s.err = lasting })
			for _, path := range []string{"one", "two/sudo", "three/sudo/box"} {
				if l, err := p.GetHops(t.Context(), hopsTo(path)...); err == nil {
					l.Release()
					t.Errorf("%s was connected, want its refusal", path)
				}
			}
			synctest.Wait()
			if left := p.Hosts(); len(left) != 0 {
				t.Errorf("after refusals by %v the pool keeps %+v, want nothing", lasting, left)
			}
		}
		s.set(func() { s.err = nil })
	})
}
