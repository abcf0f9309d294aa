package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// Whatever the users of a pool do, each gets what it waits for or its own cancellation, and
// nothing is left.
func TestPoolAtRandom(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			p, s := newTestPool(Config{Uses: 1 + random.IntN(3), PerHost: 1 + random.IntN(4), Total: 1 + random.IntN(6), Idle: time.Duration(random.IntN(20)-1) * time.Second})
			s.bound, s.delay = random.IntN(4), time.Duration(random.IntN(3))*time.Second
			bulk := p.Named("bulk", 1)
			var all sync.WaitGroup
			for range 100 {
				from, host := p, fmt.Sprint("h", random.IntN(5))
				for depth := random.IntN(4); depth > 1; depth-- {
					host += fmt.Sprint("/", random.IntN(2))
				}
				if random.IntN(4) == 0 {
					from = bulk
				}
				pause, use, patience := time.Duration(random.IntN(60)), time.Duration(random.IntN(8)), time.Duration(1+random.IntN(60))
				if random.IntN(2) == 0 {
					patience = 3000 // all of them one after the other take less
				}
				all.Go(func() {
					time.Sleep(pause * time.Second)
					ctx, cancel := context.WithTimeout(t.Context(), patience*time.Second)
					defer cancel()
					l, err := from.GetHops(ctx, hopsTo(host)...)
					if err != nil {
						if (!errors.Is(err, context.DeadlineExceeded) || patience == 3000) && !errors.Is(err, errFull) && !errors.Is(err, contexts.ErrGone) {
							t.Errorf("seed %d: %v", seed, err)
						}
						return
					}
					time.Sleep(use * time.Second)
					l.Release()
				})
			}
			for range 20 {
				time.Sleep(time.Duration(random.IntN(8)) * time.Second)
				s.mu.Lock()
				for _, lose := range s.lose {
					if random.IntN(2) == 0 {
						lose()
					}
					break
				}
				s.mu.Unlock()
				if random.IntN(4) == 0 {
					if err := p.ResetHops(hopsTo(fmt.Sprint("h", random.IntN(5)))...); err != nil {
						t.Error(err)
					}
				}
			}
			all.Wait()
			for _, st := range p.Stats() {
				if st.Uses != 0 {
					t.Errorf("seed %d: %+v is left", seed, st)
				}
			}
			for _, h := range p.Hosts() {
				if len(h.Waiting) != 0 {
					t.Errorf("seed %d: %+v is left", seed, h)
				}
			}
			closePool(t, p, s)
			if _, err := p.GetHops(t.Context(), hopsTo("h")...); !errors.Is(err, ErrClosed) {
				t.Errorf("after Close: %v, want ErrClosed", err)
			}
		})
	}
}
