//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/bench/work"
)

// memory is the kernel's account of a process, in 10^6 bytes.
type memory struct{ Resident, Proportional, Anonymous float64 }

func memoryOf(pids ...int) (m memory, err error) {
	for _, pid := range pids {
		f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return m, err
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var kb float64
			name, rest, _ := strings.Cut(lines.Text(), ":")
			if _, err := fmt.Sscan(rest, &kb); err != nil {
				continue // the first line is of another kind
			}
			switch kb *= 1024 / 1e6; name {
			case "Rss":
				m.Resident += kb
			case "Pss":
				m.Proportional += kb
			case "Anonymous":
				m.Anonymous += kb
			}
		}
	}
	return m, nil
}

// idleRows are the memory of a child that has nothing to do, its guard included.
func idleRows(ctx context.Context, master *contexts.Node) ([]row, error) {
	const children = 10 // so many that the part of each in shared pages is small
	var guards, workers []int
	for range children {
		n, err := master.Connect(ctx, local.Child{})
		if err != nil {
			return nil, err
		}
		defer n.Close()
		p, err := process.Call(ctx, n, struct{}{})
		if err != nil {
			return nil, err
		}
		workers, guards = append(workers, p[0]), append(guards, p[1])
	}
	time.Sleep(2 * time.Second) // one second after its start a child gives memory back
	w, err := memoryOf(workers...)
	if err != nil {
		return nil, err
	}
	g, err := memoryOf(guards...)
	note := func(w, g float64) string {
		return fmt.Sprintf("itself %.1f MB, its guard %.1f MB", w/children, g/children)
	}
	return []row{
		{What: "idle child and its guard, resident", Unit: "MB", Size: 10,
			Measured: (w.Resident + g.Resident) / children, Note: note(w.Resident, g.Resident)},
		{What: "idle child and its guard, proportional share", Unit: "MB", Size: 2,
			Measured: (w.Proportional + g.Proportional) / children, Note: note(w.Proportional, g.Proportional)},
	}, err
}

// Streams without a reader, which are offered 1 GiB.
const (
	stalledStreams = 16
	stalledOffer   = 64 << 20
)

// stalledRow measures in a process of its own, whose heap holds nothing else.
func stalledRow(ctx context.Context) (row, error) {
	r := row{
		What: "stalled readers, 1 GiB offered, both sides grow by", Unit: "MB",
		// The budgets for receiving and for sending, 64 MiB each.
		Size: 2 * 64 << 20 / 1e6,
	}
	cmd, err := self(ctx, "stalled")
	if err != nil {
		return r, err
	}
	out, err := cmd.Output()
	if err != nil {
		return r, err
	}
	_, err = fmt.Sscan(string(out), &r.Measured)
	return r, err
}

// stalledReaders is the role "stalled".
func stalledReaders(ctx context.Context, _ []string) (err error) {
	master, err := start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, master.Close()) }()
	child, err := master.Connect(ctx, local.Child{})
	if err != nil {
		return err
	}
	pids, err := process.Call(ctx, child, struct{}{})
	if err != nil {
		return err
	}
	pids = append(pids, os.Getpid())
	before, err := memoryOf(pids...)
	if err != nil {
		return err
	}
	for range stalledStreams {
		c, err := source.Dial(ctx, child, stalledOffer)
		if err != nil {
			return err
		}
		defer c.Close()
	}
	most := 0.0
	for range 20 {
		time.Sleep(50 * time.Millisecond)
		now, err := memoryOf(pids...)
		if err != nil {
			return err
		}
		most = max(most, now.Anonymous-before.Anonymous)
		// The stalled streams don't hold up calls.
		if _, err := work.Empty.Call(ctx, child, struct{}{}); err != nil {
			return err
		}
	}
	_, err = fmt.Println(most)
	return err
}
