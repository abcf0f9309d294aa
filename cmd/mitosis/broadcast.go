package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/mitosis-go/mitosis/contexts/fleet"
)

// broadcast returns the job that reads lines and has a shell run each on all hosts. Every line
// is a shell of its own there, as in clush: a directory that one goes to is not that of the
// next.
func (t *task) broadcast(h *hosts) job {
	t.several.asked = nil // a line is not a run that could be tried again
	return func(out, errOut io.Writer) int {
		s := &several{hosts: h, options: &t.several}
		return together(s, out, errOut, func(ctx context.Context, g *fleet.Group) int {
			lines, end, err := newLines(out, number(h.set.Len(), "host")+"> ")
			if err != nil {
				return complain(errOut, err, exitError)
			}
			defer end()
			return t.eachLine(ctx, s, g, lines, errOut)
		})
	}
}

// eachLine has the hosts run each line, and returns the status of the last one.
func (t *task) eachLine(ctx context.Context, s *several, g *fleet.Group, next func() (string, error), errOut io.Writer) (status int) {
	for ctx.Err() == nil {
		line, err := next()
		if errors.Is(err, io.EOF) {
			return status
		}
		if err != nil {
			return complain(errOut, err, exitError)
		}
		switch line = strings.TrimSpace(line); line {
		case "":
			continue
		case "exit", "quit":
			return status
		}
		equal := make(folded)
		run := fleet.Run(ctx, g, t.fleetCommand(s.screen, []string{"sh", "-c", line}, new(input)))
		status = s.worst(fleet.Collect(watched(s, run, func(m *fleet.Member, r *fleet.Result[fleet.Output]) {
			if t.several.gather {
				equal.add(m.Name(), r)
			}
		})))
		equal.print(s.screen)
	}
	return status
}

// newLines returns a function that returns the lines of standard input, at a terminal with a
// prompt and a history.
func newLines(out io.Writer, prompt string) (next func() (string, error), end func(), err error) {
	if !isTerminal(os.Stdin) || !isTerminal(out) {
		r := bufio.NewReader(os.Stdin)
		return func() (string, error) {
			line, err := r.ReadString('\n')
			if line != "" {
				err = nil
			}
			return line, err
		}, func() {}, nil
	}
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{os.Stdin, out}, prompt)
	return func() (string, error) {
		restore, err := raw(os.Stdin)
		if err != nil {
			return "", err
		}
		defer restore()
		if cols, rows, err := term.GetSize(int(os.Stdin.Fd())); err == nil && cols > 0 {
			_ = t.SetSize(cols, rows)
		}
		return t.ReadLine()
	}, func() { fmt.Fprintln(out) }, nil
}
