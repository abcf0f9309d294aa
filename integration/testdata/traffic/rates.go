package main

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// pace is the throughput of streams that have been going on for a while, in
// MiB/s.
type pace struct{ Down, Up float64 }

// rates measures one stream in each direction, one after the other, each for so
// long, and as long before for the windows to open.
func rates(ctx context.Context, on *contexts.Node, d time.Duration) (*pace, error) {
	p := new(pace)
	down, err := source.Dial(ctx, on, 1<<40)
	if err != nil {
		return nil, err
	}
	if p.Down, err = steady(d, down.Close, func(moved *atomic.Int64) {
		for b := make([]byte, 32<<10); ; {
			n, err := down.Read(b)
			moved.Add(int64(n))
			if err != nil {
				return
			}
		}
	}); err != nil {
		return nil, err
	}
	up, err := counter.Dial(ctx, on, struct{}{})
	if err != nil {
		return nil, err
	}
	p.Up, err = steady(d, up.Close, func(moved *atomic.Int64) {
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
	return p, err
}

// steady returns the rate at which move counts what it has moved, until end.
func steady(d time.Duration, end func() error, move func(*atomic.Int64)) (float64, error) {
	var moved atomic.Int64
	var moving sync.WaitGroup
	moving.Go(func() { move(&moved) })
	time.Sleep(d)
	began, first := time.Now(), moved.Load()
	time.Sleep(d)
	rate := float64(moved.Load()-first) / mib / time.Since(began).Seconds()
	err := end()
	moving.Wait()
	return rate, err
}
