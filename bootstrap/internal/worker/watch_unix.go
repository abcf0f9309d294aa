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

// Watch bounds a worker's orderly end. SIGTERM, from whomever, and the death of
// the guard ask for it; the latter is passed on as SIGTERM where the kernel does
// not do so. If the program has not ended after most of the guard's grace, it is
// ended, with everything that it started. This matters where the guard was
// killed and nobody else would, also in a program that ignores SIGTERM.
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
