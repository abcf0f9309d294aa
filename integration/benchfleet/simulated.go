//go:build linux

package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/fleet"
)

// simulated has groups whose members are all this process: what is measured is the group, its
// policy, the tables and the folding, without the hosts.
func simulated(ctx context.Context) error {
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		return err
	}
	defer self.Close()
	var per []time.Duration
	for _, n := range []int{10_000, 100_000} {
		one, err := simulate(ctx, self, n)
		if err != nil {
			return err
		}
		per = append(per, one)
	}
	tell("time of a host, 100,000 beside 10,000", fmt.Sprintf("%.2f x", per[1].Seconds()/per[0].Seconds()), "linear: about 1 x")

	var unlike []time.Duration
	for _, n := range []int{1_000, 10_000} {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf("%c%x-%c", 'a'+i%26, i*7919, 'a'+i%17)
		}
		began := time.Now()
		folded := fleet.NewHosts(names...).String()
		if _, err := fleet.ParseHosts(folded); err != nil {
			return err
		}
		unlike = append(unlike, time.Since(began)/time.Duration(n))
	}
	tell("a name of 10,000 unlike ones beside 1,000", fmt.Sprintf("%.2f x", unlike[1].Seconds()/unlike[0].Seconds()), "linear: about 1 x")
	return nil
}

// work is what an operation on a simulated host takes: a short call to a host in another
// town. With hosts that answer in less, folding takes a larger part of a shorter time.
const work = 5 * time.Millisecond

func simulate(ctx context.Context, self *contexts.Node, n int) (perHost time.Duration, err error) {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("n%06d", i)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	g, err := fleet.New(self, fleet.NewHosts(names...), &fleet.Config{
		Hops: func(string) ([]connect.Method, error) { return nil, nil },
	})
	if err != nil {
		return 0, err
	}
	// The first member hangs until all others have a result.
	others, cancel := context.WithCancel(ctx)
	defer cancel()
	do := func(_ context.Context, m *fleet.Member, _ *contexts.Node) (int, error) {
		if m.Name() == names[0] {
			<-others.Done()
		} else {
			time.Sleep(work)
		}
		return 7, nil
	}
	count := 0
	results := fleet.Collect(func(yield func(*fleet.Member, fleet.Result[int]) bool) {
		for m, r := range fleet.Do(ctx, g, do) {
			if count++; count == n-1 {
				cancel()
			}
			if !yield(m, r) {
				return
			}
		}
	})
	took := time.Since(began)
	folding := time.Now()
	folds := results.Fold()
	text := folds[0].Hosts.String()
	folded := time.Since(folding)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if len(folds) != 1 || results.Len() != n {
		return 0, fmt.Errorf("%d results in %d folds %q, want %d in one", results.Len(), len(folds), text, n)
	}
	tell(fmt.Sprintf("%d hosts, one hangs until the others are done", n),
		fmt.Sprintf("%v, %d bytes a host", took.Round(time.Millisecond), (after.HeapAlloc-before.HeapAlloc)/uint64(n)), "")
	tell("  of that, folding", fmt.Sprintf("%v, %.1f %%", folded.Round(100*time.Microsecond), 100*folded.Seconds()/(took+folded).Seconds()), "at most 5 %")
	runtime.KeepAlive(results)
	runtime.KeepAlive(g)
	return (took + folded) / time.Duration(n), nil
}
