package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/fleet"
)

// exitTimeout is the status where --timeout is over, as of timeout(1).
const exitTimeout = 124

// several is an operation on several hosts.
type several struct {
	// Immutable.
	hosts   *hosts
	options *severalOptions
	what    string // names the operation in the record
	screen  *screen
	silent  bool   // failures are told of by the results themselves
	last    func() // not nil: called before the summary
	// status returns the exit status for an error of the operation itself; nil: that of a
	// program.
	status func(error) int

	counts counts
	record *record // nil: none is kept
}

// counts are how many hosts have been begun with, have been ended with, and have a result; and
// on how many of them it failed.
type counts struct{ begun, ended, results, failed atomic.Int64 }

// operation begins an operation on a group.
type operation[Out any] func(ctx context.Context, g *fleet.Group) iter.Seq2[*fleet.Member, fleet.Result[Out]]

// together makes a group of the hosts and returns the exit status of what is done with it.
func together(s *several, out, errOut io.Writer, do func(ctx context.Context, g *fleet.Group) int) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	s.screen = newScreen(out, errOut, func(err error) { cancel(fmt.Errorf("standard output: %w", err)) })
	clear := s.screen.end // a question stays for as long as it takes, and a bar would be drawn over it
	beforeQuestion.Store(&clear)
	s.endBySignals(cancel)
	self, err := startTree(ctx, messages{s.screen})
	if err != nil {
		return caughtOr(ctx, complain(errOut, err, exitHop))
	}
	defer self.Close()
	// A host that is away is a failure at once: whether it is tried again is for --retry to say. A
	// person has the time for connecting to answer a question.
	kept := contexts.ManagedHostConfig{Wait: -1, Attempt: cmp.Or(s.options.connectBound(), 2*time.Minute)}
	group, err := s.hosts.group(self, kept)
	if err != nil {
		return complain(errOut, err, exitUsage)
	}
	if err := s.openRecord(); err != nil {
		s.screen.say("mitosis: this run is not recorded, so it can't be retried by its name: %v", err)
	}
	status := do(ctx, group.With(s.options.policy(s)))
	if err := s.screen.written(); err != nil {
		status = complain(errOut, err, exitError)
	}
	return caughtOr(ctx, status)
}

// severally does an operation on several hosts and returns the exit status. took is told of each
// result as it comes.
func severally[Out any](s *several, out, errOut io.Writer, begin operation[Out], took func(m *fleet.Member, r *fleet.Result[Out])) int {
	return together(s, out, errOut, func(ctx context.Context, g *fleet.Group) int {
		began := time.Now()
		if !s.options.quiet {
			s.screen.show(func() *bar { return newBar(errOut, g.Len(), &s.counts) })
		}
		results := fleet.Collect(watched(s, begin(ctx, g), took))
		s.screen.end()
		if s.last != nil {
			s.last()
		}
		s.summarize(results, time.Since(began))
		return s.worst(results)
	})
}

// watched passes results on, without their values.
func watched[Out any](s *several, results iter.Seq2[*fleet.Member, fleet.Result[Out]], took func(m *fleet.Member, r *fleet.Result[Out])) iter.Seq2[*fleet.Member, fleet.Result[struct{}]] {
	return func(yield func(*fleet.Member, fleet.Result[struct{}]) bool) {
		for m, r := range results {
			if r.Err != nil {
				s.counts.failed.Add(1)
			}
			s.screen.count(s.counts.results.Add(1))
			took(m, &r)
			if r.Err != nil && !s.silent && !errors.Is(r.Err, fleet.ErrNotTried) {
				s.screen.say("mitosis: %s: %s", printable(m.Name()), inWords(r.Err))
			}
			if !yield(m, fleet.Result[struct{}]{Err: r.Err, Attempts: r.Attempts, Took: r.Took, Before: r.Before}) {
				return
			}
		}
	}
}

// endBySignals has the first signal stop what has not begun and end what runs. The second ends
// this process, and with it all others.
func (s *several) endBySignals(cancel context.CancelCauseFunc) {
	c := make(chan os.Signal, 4)
	for _, sig := range endingSignals {
		if !signal.Ignored(sig) {
			signal.Notify(c, sig)
		}
	}
	go func() { // until the process ends
		for first := true; ; first = false {
			sig := <-c
			dumpAtQuit(sig)
			number := sig.(syscall.Signal)
			if !first {
				s.screen.abandon()
				os.Exit(128 + int(number))
			}
			cancel(caughtError(number))
			s.screen.say("mitosis: %v: nothing more is begun, and what runs is ended; once more ends all at once", sig)
		}
	}()
}

// summarize says on standard error what became of the hosts, equal errors together.
func (s *several) summarize(results *fleet.Results[struct{}], took time.Duration) {
	failed, left := results.Failed(), results.NotTried()
	if !s.options.quiet {
		text := fmt.Sprintf("mitosis: %s: %d done", number(results.Len(), "host"), results.Len()-failed.Len())
		if n := failed.Len() - left.Len(); n > 0 {
			text += fmt.Sprintf(", %d failed", n)
		}
		if n := left.Len(); n > 0 {
			text += fmt.Sprintf(", %d not tried", n)
		}
		s.screen.say("%s in %s", text, seconds(took))
		var helps []string
		for _, f := range results.Fold() {
			if f.Err != nil {
				if more := advice(f.Err); more != "" && !slices.Contains(helps, more) {
					helps = append(helps, more)
				}
				s.screen.say("  %s (%d): %s", printable(f.Hosts.String()), f.Hosts.Len(), strings.ReplaceAll(inWords(f.Err), "\n", "\n    "))
			}
		}
		for _, more := range helps {
			s.screen.say("mitosis: %s", more)
		}
	}
	name, err := s.closeRecord(failed.Len() > 0)
	if err != nil {
		s.screen.say("mitosis: the record of this run: %v", err)
	} else if name != "" {
		s.screen.say("mitosis: to try the others again: mitosis %s --retry-failed %s", s.options.command, name)
	}
}

func number(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// worst returns the highest exit status of all hosts.
func (s *several) worst(results *fleet.Results[struct{}]) (status int) {
	for _, r := range results.All() {
		status = max(status, s.statusOf(r.Err))
	}
	return status
}

// statusOf returns the exit status for what became of one of several hosts.
func (s *several) statusOf(err error) int {
	_, notConnected := errors.AsType[*fleet.ConnectError](err)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, fleet.ErrNotTried):
		return exitError
	case notConnected, errors.Is(err, fleet.ErrUnknown), errors.Is(err, contexts.ErrGone):
		return exitHop
	case s.status != nil:
		return s.status(err)
	}
	return statusOfRun(err)
}

// statusOfRun returns the exit status for the error of a program.
func statusOfRun(err error) int {
	if exit, ok := errors.AsType[*contexts.ExitError](err); ok && !exit.Success() && !errors.Is(err, context.DeadlineExceeded) {
		return exit.ShellStatus()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return exitTimeout
	}
	if status := statusOfStart(err); status != exitHop {
		return status
	}
	return exitError
}

// watcher is the journal of an operation: it counts, and passes on what is recorded.
type watcher struct {
	*several
	kept fleet.Journal // nil: none
}

// State implements fleet.Journal.
func (w watcher) State(operation, member string) fleet.State {
	if w.kept == nil {
		return fleet.StateNone
	}
	return w.kept.State(operation, member)
}

// Begin implements fleet.Journal.
func (w watcher) Begin(operation, member string) error {
	w.counts.begun.Add(1)
	if w.kept == nil {
		return nil
	}
	return w.kept.Begin(operation, member)
}

// End implements fleet.Journal.
func (w watcher) End(operation, member string, err error) error {
	w.counts.ended.Add(1)
	if w.kept == nil {
		return nil
	}
	return w.kept.End(operation, member, err)
}

// Sync implements fleet.Journal.
func (w watcher) Sync() error {
	if w.kept == nil {
		return nil
	}
	return w.kept.Sync()
}

// goWords are names of the packages, in errors that are for programs as well, and what they are
// called here.
var goWords = []string{
	"Policy.ConnectTimeout", "--connect-timeout",
	"Policy.Timeout", "--timeout",
}

// inWords returns the text of an error in words of the command line.
func inWords(err error) string { return strings.NewReplacer(goWords...).Replace(err.Error()) }
