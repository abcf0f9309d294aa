package main

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// pace is the throughput of streams whose windows have opened, in MiB/s.
type pace struct{ Down, Up float64 }

// rates measures two streams, one in each direction, for the time d. Before that it waits for d,
// so that their windows open.
func rates(ctx context.Context, on *contexts.Node, d time.Duration) (*pace, error) {
	down, err := source.Dial(ctx, on, 1<<40)
	if err != nil {
		return nil, err
	}
	up, err := counter.Dial(ctx, on, struct{}{})
	if err != nil {
		return nil, err
	}
	p := new(pace)
	var both sync.WaitGroup
	both.Go(func() {
		p.Down = steady(d, down, func(moved *atomic.Int64) {
			for b := make([]byte, 32<<10); ; {
				n, err := down.Read(b)
				moved.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
	})
	both.Go(func() {
		p.Up = steady(d, up, func(moved *atomic.Int64) {
			go func() { // until up is closed
				for b := make([]byte, 32<<10); ; {
					if _, err := up.Write(b); err != nil {
						return
					}
				}
			}()
			for b := make([]byte, 1); ; {
				if _, err := io.ReadFull(up, b); err != nil {
					return
				}
				moved.Add(countedBytes)
			}
		})
	})
	both.Wait()
	return p, nil
}

// steady returns the rate, in MiB/s, at which move adds to the count of moved bytes. move goes on
// until c is closed.
func steady(d time.Duration, c io.Closer, move func(*atomic.Int64)) float64 {
	var moved atomic.Int64
	var moving sync.WaitGroup
	moving.Go(func() { move(&moved) })
	time.Sleep(d) // until its window is open
	began, first := time.Now(), moved.Load()
	time.Sleep(d)
	rate := float64(moved.Load()-first) / mib / time.Since(began).Seconds()
	c.Close()
	moving.Wait()
	return rate
}
