package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// untilProcessEnds returns a ctx that ends with a process, at once if there is none. stop ends the
// watch and waits for it. A descriptor of the process is watched: its number may get another process.
func untilProcessEnds(ctx context.Context, pid int) (_ context.Context, stop func(), err error) {
	process, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		process, err = -1, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("process %d can't be watched: %w", pid, err)
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		_ = unix.Close(process)
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer cancel()
		for wait := process >= 0; wait; {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}, {Fd: int32(pipe[0]), Events: unix.POLLIN}}, -1)
			wait = errors.Is(err, unix.EINTR)
		}
	}()
	return ctx, func() {
		_ = unix.Close(pipe[1])
		<-watched
		_ = unix.Close(pipe[0])
		if process >= 0 {
			_ = unix.Close(process)
		}
	}, nil
}
