//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/bench/work"
)

// callTime measures the mean of n calls one after the other, in microseconds.
func callTime(ctx context.Context, on *contexts.Node, n int) (float64, error) {
	began := time.Now()
	for range n {
		if _, err := work.Empty.Call(ctx, on, struct{}{}); err != nil {
			return 0, err
		}
	}
	return micros(time.Since(began)) / float64(n), nil
}

func calls(name string, on *contexts.Node, n int) *subject {
	return &subject{name: name, measure: func(ctx context.Context) (float64, error) { return callTime(ctx, on, n) }}
}

// chain starts a chain of local children, each the child of the one before it.
func chain(ctx context.Context, from *contexts.Node, hops int) ([]*contexts.Node, error) {
	var nodes []*contexts.Node
	for range hops {
		n, err := from.Connect(ctx, local.Child{})
		if err != nil {
			return nil, err
		}
		nodes, from = append(nodes, n), n
	}
	return nodes, nil
}

// callRows are the rows on calls between local contexts.
func callRows(ctx context.Context) (rows []row, err error) {
	master, err := start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, master.Close()) }()
	nodes, err := chain(ctx, master, 3)
	if err != nil {
		return nil, err
	}
	const batch = 1000
	a, b, err := twoProcessors()
	if err != nil {
		return nil, err
	}
	floor := &subject{name: "ping-pong", measure: func(ctx context.Context) (float64, error) {
		t, err := pingPong(ctx, batch, a, b)
		return t.took, err
	}}
	one, two, three := calls("1 hop", nodes[0], batch), calls("2 hops", nodes[1], batch), calls("3 hops", nodes[2], batch)
	if err := inTurns(ctx, rounds(15), floor, one, two, three); err != nil {
		return nil, err
	}
	// The limit and the calls are measured in batches of a thousand, and the fastest batch
	// counts: other work on the machine only ever adds time.
	limit := floor.results.least()
	const limitIs = "ping-pong over pipes"
	rows = append(rows,
		row{What: "empty call, local child", Unit: "us", Measured: one.results.least(), Limit: limit, LimitIs: limitIs, Factor: 2.5},
		row{What: "second hop adds", Unit: "us", Measured: two.results.least() - one.results.least(), Limit: limit, LimitIs: limitIs, Factor: 1.5},
		row{What: "third hop adds", Unit: "us", Measured: three.results.least() - two.results.least(), Limit: limit, LimitIs: limitIs, Factor: 1.5},
	)

	pipe, err := pipelinedOnTwoCores(ctx, limit)
	if err != nil {
		return rows, err
	}
	forward, err := forwarding(ctx, nodes[0], nodes[1])
	return append(rows, pipe, forward), err
}

// window is the number of pipelined calls that are under way at once.
const window = 1000

// pipelined makes n calls without waiting for one before the next. It returns the answers per
// second.
func pipelined(ctx context.Context, on *contexts.Node, n int) (float64, error) {
	pending := make(chan *contexts.Pending[struct{}], window)
	began := time.Now()
	go func() { // until all are sent
		defer close(pending)
		for range n {
			pending <- work.Empty.Go(ctx, on, struct{}{})
		}
	}()
	var first error
	for p := range pending {
		if _, err := p.Wait(); err != nil && first == nil {
			first = err
		}
	}
	return float64(n) / time.Since(began).Seconds(), first
}

// pipelinedOnTwoCores measures pipelined calls between a process and its child, which share two
// processors. trip is the time of one ping-pong, in microseconds. Pipelined calls have to be
// faster than one ping-pong after the other.
func pipelinedOnTwoCores(ctx context.Context, trip float64) (row, error) {
	r := row{What: "pipelined calls on two cores", Unit: "/s", Limit: 1e6 / trip, LimitIs: "ping-pongs over pipes", Factor: 1.5, AtLeast: true}
	a, b, err := twoProcessors()
	if err != nil {
		return r, err
	}
	if a == b {
		r.Missing = "there is one processor only"
		return r, nil
	}
	cmd, err := self(ctx, "cores")
	if err != nil {
		return r, err
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := onProcessors(cmd.Start, a, b); err != nil {
		return r, err
	}
	if err := cmd.Wait(); err != nil {
		return r, err
	}
	_, err = fmt.Sscan(out.String(), &r.Measured)
	return r, err
}

// twoCores is the role "cores".
func twoCores(ctx context.Context, _ []string) (err error) {
	master, err := start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, master.Close()) }()
	child, err := master.Connect(ctx, local.Child{})
	if err != nil {
		return err
	}
	s := &subject{name: "pipelined", measure: func(ctx context.Context) (float64, error) { return pipelined(ctx, child, 50_000) }}
	if err := inTurns(ctx, rounds(9), s); err != nil {
		return err
	}
	_, err = fmt.Fprintln(os.Stdout, s.results.median())
	return err
}

// forwarding measures the number of frames that middle forwards in a second of its processor
// time, with the reads and writes of its links. Each call is one frame down and one up. The limit
// is a process that reads a byte and writes it.
func forwarding(ctx context.Context, middle, far *contexts.Node) (row, error) {
	const n = 50_000
	s := &subject{name: "forwarding", measure: func(ctx context.Context) (float64, error) {
		before, err := processor.Call(ctx, middle, struct{}{})
		if err != nil {
			return 0, err
		}
		if _, err := pipelined(ctx, far, n); err != nil {
			return 0, err
		}
		after, err := processor.Call(ctx, middle, struct{}{})
		return 2 * n / (after - before).Seconds(), err
	}}
	a, _, err := twoProcessors()
	if err != nil {
		return row{}, err
	}
	bare := &subject{name: "one byte after the other", measure: func(ctx context.Context) (float64, error) {
		t, err := pingPong(ctx, n/2, a, a)
		return 1e6 / t.processor, err
	}}
	err = inTurns(ctx, rounds(9), s, bare)
	return row{
		What: "frames forwarded, per second of CPU", Unit: "/s", Measured: s.results.median(),
		Limit: bare.results.median(), LimitIs: "bytes passed on one by one", Factor: 1, AtLeast: true,
	}, err
}
