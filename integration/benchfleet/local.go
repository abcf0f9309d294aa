//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
)

// bareRole makes this program a bare process: it says that it is there and waits for the end
// of its input. It is what a context costs at the least.
const bareRole = "bare-process"

func bare() {
	_, _ = os.Stdout.Write([]byte{'.'})
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// atOnce is how many starts are under way at once, in both cases.
const atOnce = 32

// startBare starts so many bare processes and returns how long it takes until all are there.
func startBare(n int) (took time.Duration, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmds, inputs := make([]*exec.Cmd, n), make([]io.Closer, n)
	errs := make([]error, n)
	began := time.Now()
	sideBySide(n, func(i int) {
		cmd := exec.Command(self, bareRole)
		in, err := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if errs[i] = errors.Join(err, err2); errs[i] != nil {
			return
		}
		if errs[i] = cmd.Start(); errs[i] != nil {
			return
		}
		cmds[i], inputs[i] = cmd, in
		_, errs[i] = io.ReadFull(out, make([]byte, 1))
	})
	took = time.Since(began)
	for i := range n {
		if cmds[i] != nil {
			inputs[i].Close()
		}
	}
	for i := range n {
		if cmds[i] != nil {
			errs = append(errs, cmds[i].Wait())
		}
	}
	return took, errors.Join(errs...)
}

func sideBySide(n int, f func(i int)) {
	var all sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		all.Go(func() { f(i); <-slots })
	}
	all.Wait()
}

var process = contexts.NewFunc("benchfleet.process", func(context.Context, struct{}) ([]int, error) {
	return []int{os.Getpid(), os.Getppid()}, nil
})

func localTiers(ctx context.Context) error {
	n := *contextsWanted
	floor, err := startBare(n)
	if err != nil {
		return err
	}
	fmt.Printf("floor: %d bare processes in %v\n", n, floor)
	return profiled(func() error { return tiers(ctx, n, floor) })
}

func tiers(ctx context.Context, n int, floor time.Duration) error {
	self, err := contexts.Start(ctx, &contexts.Config{CloseTimeout: time.Minute,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return err
	}
	nodes := make([]*contexts.Node, n)
	ready := make([]chan struct{}, n)
	errs := make([]error, n)
	for i := range ready {
		ready[i] = make(chan struct{})
	}
	heads := min(12, n)
	parent := func(i int) int {
		switch {
		case i < heads:
			return -1
		case i < heads+heads*heads:
			return (i - heads) % heads
		default:
			return heads + (i-heads-heads*heads)%(heads*heads)
		}
	}
	began := time.Now()
	sideBySide(n, func(i int) {
		defer close(ready[i])
		from := self
		if p := parent(i); p >= 0 {
			<-ready[p]
			from = nodes[p]
		}
		nodes[i], errs[i] = from.Connect(ctx, local.Child{})
	})
	took := time.Since(began)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fmt.Printf("ready: %v, %.2f x the floor\n", took, took.Seconds()/floor.Seconds())
	began = time.Now()
	var pids []int
	for _, r := range contexts.CallAll(ctx, process, nodes, struct{}{}) {
		if r.Err != nil {
			return r.Err
		}
		pids = append(pids, r.Value...)
	}
	fmt.Printf("a call to all: %v\n", time.Since(began))
	_ = pids
	began = time.Now()
	err = self.Close()
	fmt.Printf("closed: %v\n", time.Since(began))
	return err
}
