package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// stall is the effect that streams without a reader have on memory, calls and other streams.
type stall struct {
	// Grown is the largest growth of the memory of each process, in MiB: first the master,
	// then each context and its guard.
	Grown []float64
	// Idle and Stalled are medians of calls through all hops, before and
	// while the streams stall, in microseconds.
	Idle, Stalled float64
	// Alone and Beside are the throughput of another stream, before and while the streams
	// stall, in MiB/s.
	Alone, Beside float64
}

// readFirst is the number of bytes that are read of all streams together before they stall. So
// the windows of a few streams open; many streams read too little each for that.
const readFirst = 256 * mib

// stalled offers 1 GiB, in a number of streams, to readers that stop reading. The last context
// sends and the master reads, or, with up, the other way round.
func stalled(ctx context.Context, row []*contexts.Node, streams int, up bool) (*stall, error) {
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
	before, err := memory(pids)
	if err != nil {
		return nil, err
	}
	if s.Idle, s.Alone, err = others(ctx, end); err != nil {
		return nil, err
	}
	offer, first := int64(1<<30/streams), int64(0)
	if streams <= 16 {
		first = readFirst / int64(streams)
	}
	begin := offerDown
	if up {
		begin = offerUp
	}
	errs := make(chan error, streams)
	for range streams {
		go func() { errs <- begin(ctx, end, offer, first) }()
	}
	for range streams {
		if err := <-errs; err != nil {
			return nil, err
		}
	}
	for range 20 {
		time.Sleep(50 * time.Millisecond) // between two measurements of memory, which must not grow
		now, err := memory(pids)
		if err != nil {
			return nil, err
		}
		for i := range now {
			s.Grown[i] = max(s.Grown[i], (now[i]-before[i])/mib)
		}
	}
	s.Stalled, s.Beside, err = others(ctx, end)
	return s, err
}

// offerDown opens a stream and reads its first bytes. The stream stays open until the program
// ends.
func offerDown(ctx context.Context, on *contexts.Node, offer, first int64) error {
	c, err := source.Dial(ctx, on, offer)
	if err != nil {
		return err
	}
	held.add(c)
	_, err = io.CopyN(io.Discard, c, first)
	return err
}

// offerUp opens a stream whose other end reads its first bytes, and writes to it.
func offerUp(ctx context.Context, on *contexts.Node, offer, first int64) error {
	c, err := hoard.Dial(ctx, on, first)
	if err != nil {
		return err
	}
	held.add(c)
	go func() { _ = writeZeros(c, offer) }() // until c is closed
	_, err = io.ReadFull(c, make([]byte, 1))
	return err
}

// conns are streams that are closed before the program ends.
type conns struct {
	mu  sync.Mutex
	all []net.Conn
}

var held conns

func (h *conns) add(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, c)
}

func (h *conns) close() {
	for _, c := range h.all {
		c.Close()
	}
}

// others measures the time of a call, and the best rate of some transfers.
func others(ctx context.Context, on *contexts.Node) (call, rate float64, err error) {
	if call, err = calls(ctx, on, 500); err != nil {
		return 0, 0, err
	}
	for range 3 {
		began := time.Now()
		n, err := transfer(ctx, on, 64*mib)
		if err != nil {
			return 0, 0, err
		}
		rate = max(rate, n/mib/time.Since(began).Seconds())
	}
	return call, rate, nil
}

// memory returns the sizes of the memory that each process shares with no other, in bytes.
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
