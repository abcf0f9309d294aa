//go:build linux

package main

import (
	"errors"
	"runtime"

	"golang.org/x/sys/unix"
)

// twoProcessors returns the first and the last of the processors that this process may use. These
// two are the least likely to be threads of one core. If there is only one, it returns that twice.
func twoProcessors() (a, b int, err error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return 0, 0, err
	}
	a = -1
	for i, left := 0, all.Count(); left > 0; i++ {
		if all.IsSet(i) {
			if left--; a < 0 {
				a = i
			}
			b = i
		}
	}
	return a, b, nil
}

// onProcessors calls start, which starts a process that may use only these processors. A process
// inherits them from the thread that starts it. The thread gets its own processors back before it
// runs anything else.
func onProcessors(start func() error, cpus ...int) error {
	var before, during unix.CPUSet
	for _, i := range cpus {
		during.Set(i)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	if err := unix.SchedSetaffinity(0, &during); err != nil {
		return err
	}
	err := start()
	return errors.Join(err, unix.SchedSetaffinity(0, &before))
}
