package pool

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// The first connection to a host is made alone: a wrong password is tried once, and nobody waits
// for another try.
func TestFirstConnectionIsMadeAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newTestPool(Config{Uses: 1, PerHost: 8})
		defer closePool(t, p, s)
		attempts := 0
		open := p.shared.open
		p.shared.open = func(ctx context.Context, before *contexts.Node, hop connect.Method) (link, error) {
			s.set(func() { attempts++ })
			return open(ctx, before, hop)
		}
		s.err, s.delay = connect.ErrPassword, time.Second
		var all sync.WaitGroup
		for i := range 64 {
			from := p
			if i%2 == 0 {
				from = p.Named("bulk", 1)
			}
			all.Go(func() {
				if _, err := from.GetHops(t.Context(), hopsTo("h/sudo")...); !errors.Is(err, connect.ErrPassword) {
					t.Errorf("%v, want that the password is wrong", err)
				}
			})
		}
		all.Wait()
		if attempts != 1 {
			t.Errorf("the wrong password was tried %d times, want once", attempts)
		}
		// When some stand, and the password has changed, those who wait share these.
		s.set(func() { s.err = nil })
		first := get(t, p, "h")
		s.set(func() { s.err, attempts = connect.ErrPassword, 0 })
		for range 8 {
			all.Go(func() {
				l := get(t, p, "h")
				time.Sleep(5 * time.Second)
				l.Release()
			})
		}
		synctest.Wait()
		time.Sleep(time.Minute)
		first.Release()
		all.Wait()
		if attempts != 1 {
			t.Errorf("with a connection that stands, the wrong password was tried %d times, want once", attempts)
		}
	})
}

// A refusal of a moment costs a second, although no lease is given back meanwhile.
func TestBoundRisesSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newTestPool(Config{Uses: 1})
		defer closePool(t, p, s)
		shared := get(t, p, "h")
		s.set(func() { s.bound = 1 })
		time.AfterFunc(500*time.Millisecond, func() { s.set(func() { s.bound = 0 }) })
		began := time.Now()
		bulk := get(t, p.Named("bulk", 1), "h")
		if took := time.Since(began); took != briefPause {
			t.Errorf("the server had no room for half a second, and the lease came after %v, want %v", took, briefPause)
		}
		if count(p, "h", Ready) != 2 {
			t.Error("the connection in use was to leave for a refusal of a moment")
		}
		bulk.Release()
		shared.Release()
	})
}

// A name without a connection gets that of another where the host lets no more in; and whoever
// gives up is told why it had to wait.
func TestRefusalIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newTestPool(Config{Uses: 1})
		defer closePool(t, p, s)
		shared := get(t, p, "h")
		s.set(func() { s.bound = 1 })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := p.Named("bulk", 1).GetHops(ctx, hopsTo("h/sudo")...)
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errFull) || !strings.Contains(err.Error(), errFull.Error()) {
			t.Errorf("%v, want the end of the time, and why a connection was not let in", err)
		}
		if s.refused > 7 {
			t.Errorf("in a minute the server refused %d times, want seldom", s.refused)
		}
		time.AfterFunc(time.Second, shared.Release)
		get(t, p.Named("bulk", 1), "h/sudo").Release()
		s.wantOpen(t, "the host lets one in", map[string]int{"h": 1, "h/sudo": 1})
		time.Sleep(time.Hour)
		if hosts := p.Hosts(); len(hosts) != 0 {
			t.Errorf("an hour later the pool knows %+v, want nothing", hosts)
		}
	})
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newTestPool(Config{Uses: 2, PerHost: 1})
		defer closePool(t, p, s)
		bulk := p.Named("bulk", 1)
		s.delay = time.Second
		l := get(t, p, "web/sudo")
		get(t, p, "web/sudo").Release()
		var all sync.WaitGroup
		all.Go(func() { get(t, bulk, "web/sudo").Release() })
		synctest.Wait()
		time.Sleep(time.Minute)
		path := func(hops string) string { return (&host{hops: hopsTo(hops)}).path() }
		stats := p.Stats()
		if len(stats) != 2 {
			t.Fatalf("%+v, want two connections", stats)
		}
		web, root := stats[0], stats[1]
		for _, c := range []struct{ got, want Stat }{
			{web, Stat{path("web"), "", Ready, 0, 1, 0, 62 * time.Second, 0, web.Node}},
			{root, Stat{path("web/sudo"), "", Leaving, 1, 0, 2, 61 * time.Second, 0, l.Node()}},
		} {
			if c.got != c.want {
				t.Errorf("%+v, want %+v", c.got, c.want)
			}
		}
		hosts := p.Hosts()
		if len(hosts) != 2 || hosts[0].Waiting["bulk"]+hosts[1].Waiting["bulk"] != 1 || hosts[0].Bound != 1 || hosts[0].Connections != 1 {
			t.Errorf("%+v, want two ends of paths with a connection each, and one that waits", hosts)
		}
		l.Release()
		all.Wait()
		time.Sleep(time.Minute)
		if stats = p.Stats(); len(stats) != 2 || stats[1].Idle != time.Minute || stats[0].Pool != "bulk" || stats[0].Idle != 0 {
			t.Errorf("%+v, want two of the bulk pool, the end of the path idle for a minute", stats)
		}
	})
}
