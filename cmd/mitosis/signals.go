package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/term"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/internal/patience"
)

// caughtError is the cause of an end by a signal.
type caughtError syscall.Signal

// Error implements error.
func (s caughtError) Error() string { return "signal: " + syscall.Signal(s).String() }

// forwarder takes the signals of this process. They end the session until there is a command,
// which gets them from then on. The forwarder is never stopped: a late signal must not end the
// process before it returns its status.
type forwarder struct {
	// Immutable.
	cancel context.CancelCauseFunc
	c      chan os.Signal // capacity 16; package signal sends, listen receives; never closed

	mu      sync.Mutex
	command *contexts.Command // guarded by mu
}

func newForwarder(cancel context.CancelCauseFunc) *forwarder {
	f := &forwarder{cancel: cancel, c: make(chan os.Signal, 16)}
	for _, s := range endingSignals {
		if !signal.Ignored(s) { // as by nohup
			signal.Notify(f.c, s)
		}
	}
	go f.listen()
	return f
}

// forward makes the command the receiver of signals.
func (f *forwarder) forward(cmd *contexts.Command) {
	f.mu.Lock()
	f.command = cmd
	f.mu.Unlock()
	if cmd.Pty != nil {
		signal.Notify(f.c, resizeSignals...)
		f.resize(cmd) // it may have changed meanwhile
	}
}

func (f *forwarder) listen() {
	var passedOn patience.Signals
	for s := range f.c {
		f.mu.Lock()
		cmd := f.command
		f.mu.Unlock()
		if isResize(s) {
			f.resize(cmd)
			continue
		}
		if cmd == nil {
			dumpAtQuit(s)
		}
		if _, enough := passedOn.Count(s); cmd == nil || enough {
			f.cancel(caughtError(s.(syscall.Signal)))
			continue
		}
		// It waits for an answer, which does not come if the link is stuck.
		go func() { _ = cmd.SignalGroup(s) }()
	}
}

// resize gives the command's terminal the size of this process's, if it has one.
func (f *forwarder) resize(cmd *contexts.Command) {
	cols, rows, err := term.GetSize(int(os.Stdin.Fd()))
	if err == nil && cols > 0 && rows > 0 {
		go func() { _ = cmd.Resize(rows, cols) }()
	}
}
