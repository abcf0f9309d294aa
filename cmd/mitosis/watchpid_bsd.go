//go:build darwin || freebsd

package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// untilProcessEnds returns a ctx that ends with a process, at once if there is none. stop ends the
// watch and waits for it.
func untilProcessEnds(ctx context.Context, pid int) (_ context.Context, stop func(), err error) {
	queue, err := unix.Kqueue()
	if err != nil {
		return nil, nil, err
	}
	unix.CloseOnExec(queue)
	var end unix.Kevent_t
	unix.SetKevent(&end, pid, unix.EVFILT_PROC, unix.EV_ADD)
	end.Fflags = unix.NOTE_EXIT
	_, err = unix.Kevent(queue, []unix.Kevent_t{end}, nil, nil)
	gone := errors.Is(err, unix.ESRCH)
	if err != nil && !gone {
		_ = unix.Close(queue)
		return nil, nil, fmt.Errorf("process %d can't be watched: %w", pid, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer cancel()
		for n := 0; n == 0 && !gone && ctx.Err() == nil; {
			// A second is how long stop may have to wait.
			n, err = unix.Kevent(queue, nil, make([]unix.Kevent_t, 1), &unix.Timespec{Sec: 1})
			if err != nil && !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}()
	return ctx, func() {
		cancel()
		<-watched
		_ = unix.Close(queue)
	}, nil
}
