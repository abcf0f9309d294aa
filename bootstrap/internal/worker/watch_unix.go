//go:build unix

package worker

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap/internal/guard"
)

// Watch bounds the time that a worker takes to end. SIGTERM asks it to end, and so does the
// death of the guard. After that death Watch sends SIGTERM to this process, because not every
// kernel does. If the program still runs after most of the guard's grace, Watch kills everything
// that the program started, and ends it. That matters where the guard was killed, and in a
// program that ignores SIGTERM.
//
// It starts two goroutines, which run until the process exits.
func Watch() {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	life := pollable(guard.WorkerLife, "guard")
	orphaned := make(chan struct{})
	go func() { // until the process exits
		life.Read(make([]byte, 1))
		close(orphaned)
		syscall.Kill(os.Getpid(), syscall.SIGTERM)
	}()
	go func() { // until the process exits
		select {
		case <-term:
		case <-orphaned:
		}
		time.Sleep(guard.Grace * 3 / 4)
		guard.KillDescendants(context.Background(), 0)
		os.Exit(128 + int(syscall.SIGTERM))
	}()
}
