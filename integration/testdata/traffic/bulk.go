package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// load shows how much calls and bulk slow each other down. Each field has one value for each
// round. A round measures all of them in turns.
type load struct {
	// Median times of a call, in microseconds: without bulk, on the links with bulk, and at
	// the same time on links without. The last shows the effect of busy processors alone.
	Idle, Busy, Beside []float64
	Alone, With        []float64 // throughput of bulk without and with calls, in MiB/s
}

func bulk(ctx context.Context, end, beside *contexts.Node) (*load, error) {
	l := new(load)
	for range 3 {
		idle, err := calls(ctx, end, 300)
		if err != nil {
			return nil, err
		}
		l.Idle = append(l.Idle, idle)
		rate, err := bothWays(ctx, end, func() error {
			time.Sleep(measured) // bulk alone
			return nil
		})
		if err != nil {
			return nil, err
		}
		l.Alone = append(l.Alone, rate)
		var here, there []float64
		rate, err = bothWays(ctx, end, func() error {
			for began := time.Now(); time.Since(began) < measured; {
				for times, on := range map[*[]float64]*contexts.Node{&here: end, &there: beside} {
					t, err := calls(ctx, on, 1)
					if err != nil {
						return err
					}
					*times = append(*times, t)
					// With this pause the calls are those of a user, and no
					// load of their own.
					time.Sleep(time.Millisecond)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		l.With, l.Busy, l.Beside = append(l.With, rate), append(l.Busy, median(here)), append(l.Beside, median(there))
	}
	return l, nil
}

// measured is the length of one measurement.
const measured = 700 * time.Millisecond

// bothWays moves bulk up and down and returns the throughput while f runs.
func bothWays(ctx context.Context, on *contexts.Node, f func() error) (rate float64, err error) {
	c, err := echo.Dial(ctx, on, struct{}{})
	if err != nil {
		return 0, err
	}
	var moved atomic.Int64
	var both sync.WaitGroup
	both.Go(func() { // until c is closed
		for b := make([]byte, 32<<10); ; {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	})
	both.Go(func() {
		for b := make([]byte, 32<<10); ; {
			n, err := c.Read(b)
			moved.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	defer both.Wait()
	defer c.Close()
	for moved.Load() < 32*mib { // the windows open
		time.Sleep(time.Millisecond)
	}
	began, first := time.Now(), moved.Load()
	err = f()
	return float64(moved.Load()-first) / mib / time.Since(began).Seconds(), err
}

// transfer reads n bytes from a context.
func transfer(ctx context.Context, on *contexts.Node, n int64) (float64, error) {
	c, err := source.Dial(ctx, on, n)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	got, err := io.Copy(io.Discard, c)
	if err == nil && got != n {
		err = fmt.Errorf("%d bytes of %d came", got, n)
	}
	return float64(got), err
}
