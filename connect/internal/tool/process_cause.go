//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd || solaris

package tool

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
)

// Cause implements bootstrap.Carrier.
func (p *process) Cause(ctx context.Context) error {
	p.mu.Lock()
	reason := p.reason
	p.mu.Unlock()
	select {
	case <-p.heard:
	case <-ctx.Done():
		if reason == nil {
			return nil
		}
	}
	e := &connect.Error{Hop: p.tool.Hop, Err: reason, Output: p.output()}
	switch {
	case reason != nil:
		e.Phase = "answering its questions"
	case p.answered:
		e.Err = failure.Classify(connect.ErrEOF, fmt.Errorf("%s ended: %s", p.tool.Program, p.status()))
	default:
		e.Phase = "starting the far side"
		v := p.explain()
		e.Err, e.Hint = v.Class, v.Hint
		if e.Hint == "" && p.noTerminal != nil {
			e.Hint = "it may have wanted to ask, but no terminal could be opened: " + p.noTerminal.Error()
		}
	}
	return e
}

// explain finds the class of an end before the far side had spoken.
func (p *process) explain() failure.Verdict {
	var exit *exec.ExitError
	if p.waitErr != nil && !errors.As(p.waitErr, &exit) && !errors.Is(p.waitErr, exec.ErrWaitDelay) {
		return failure.Verdict{Class: fmt.Errorf("%w: %w", connect.ErrEOF, p.waitErr)}
	}
	if p.tool.Explain != nil {
		how := Ending{Status: p.cmd.ProcessState, Said: strings.Split(p.output(), " / ")}
		if early := p.early.String(); early != "" {
			how.Said = append(strings.Split(early, " / "), how.Said...)
		}
		if p.dialogue != nil {
			how.Tally = p.dialogue.count()
		}
		if v := p.tool.Explain(how); v.Class != nil {
			if v.Class == connect.ErrPassword && how.Tally.Passwords > 0 && how.Tally.Other != "" {
				v.Class = IncorrectAnswer(how.Tally.Other)
			}
			return v
		}
	}
	return failure.Verdict{Class: fmt.Errorf("%w: %s: %s", connect.ErrEOF, p.tool.Program, p.status())}
}

func (p *process) status() string { return p.cmd.ProcessState.String() }

// Said returns the output of the tool so far, for an error that is not about its end.
func (p *process) Said() string { return p.output() }

// output returns the last words of the tool on its terminal and its standard error.
func (p *process) output() string {
	var parts []string
	for _, w := range []*Words{p.shown, p.stderr} {
		if s := w.String(); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, " / ")
}
