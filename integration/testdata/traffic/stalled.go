package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// stall is what streams that nobody reads do to the others.
type stall struct {
	// Grown is the most that the memory of each process grew by, in MiB: of the
	// master first, then of each context and its guard.
	Grown []float64
	// Idle and Stalled are medians of calls through all hops, before and
	// while the streams stall, in microseconds.
	Idle, Stalled float64
	// Moved is how much went through another stream meanwhile, in MiB.
	Moved float64
}

func stalled(ctx context.Context, row []*contexts.Node, streams int) (*stall, error) {
	end := row[len(row)-1]
	pids := []int{os.Getpid()}
	for _, n := range row[1:] {
		p, err := process.Call(ctx, n, struct{}{})
		if err != nil {
			return nil, err
		}
		pids = append(pids, p...)
	}
	s := &stall{Grown: make([]float64, len(pids))}
	var err error
	if s.Idle, err = calls(ctx, end, 500); err != nil {
		return nil, err
	}
	before, err := memory(pids)
	if err != nil {
		return nil, err
	}
	for range streams {
		c, err := source.Dial(ctx, end, 1<<30/int64(streams))
		if err != nil {
			return nil, err
		}
		defer c.Close()
	}
	for range 20 {
		time.Sleep(50 * time.Millisecond) // what is offered has to come first
		now, err := memory(pids)
		if err != nil {
			return nil, err
		}
		for i := range now {
			s.Grown[i] = max(s.Grown[i], (now[i]-before[i])/mib)
		}
	}
	if s.Stalled, err = calls(ctx, end, 500); err != nil {
		return nil, err
	}
	other, err := transfer(ctx, end, 64*mib)
	s.Moved = other / mib
	return s, err
}

// memory returns what processes have of their own, in bytes.
func memory(pids []int) ([]float64, error) {
	all := make([]float64, len(pids))
	for i, pid := range pids {
		f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return nil, err
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var kib float64
			if rest, ok := strings.CutPrefix(lines.Text(), "Anonymous:"); ok {
				if _, err := fmt.Sscan(rest, &kib); err != nil {
					return nil, err
				}
				all[i] = kib * 1024
			}
		}
		f.Close()
	}
	return all, nil
}

// calls returns the median time of a call, in microseconds.
func calls(ctx context.Context, on *contexts.Node, n int) (float64, error) {
	var times []float64
	for range n {
		began := time.Now()
		if _, err := empty.Call(ctx, on, struct{}{}); err != nil {
			return 0, err
		}
		times = append(times, float64(time.Since(began))/float64(time.Microsecond))
	}
	return median(times), nil
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
