package contexts

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/core"
)

// What a command with KeepJobs leaves running is a process below the guard of its
// context, and, where that was reached by a hop on the same host, below other guards.
// Each of them ends what is below it, so each has to know.

// keepJobsFunc has a context spare what such commands leave running.
var keepJobsFunc = NewFunc("mitosis.keepjobs", func(ctx context.Context, _ struct{}) (struct{}, error) {
	if callOf(ctx).l.ownsProcess() {
		// Where it fails there is no guard that could end them.
		_ = bootstrap.KeepJobs()
	}
	return struct{}{}, nil
})

// tellOfJobs tells the contexts between here and that of the command, if the command
// is one with KeepJobs. The function that it returns waits until all know.
func (c *Command) tellOfJobs() (wait func() error) {
	l := c.node.self
	var told []func() error
	if c.KeepJobs {
		for n := c.node.Parent(); n != nil && n.id != l.id && n.id != core.Master; n = n.Parent() {
			if _, already := l.sparing.Load(n.id); already {
				continue
			}
			p := keepJobsFunc.Go(c.ctx, n, struct{}{})
			told = append(told, func() error {
				_, err := p.Wait()
				if err == nil {
					l.sparing.Store(n.id, true)
				}
				return err
			})
			if n.via == n.id {
				break // of that one nothing more is known
			}
		}
	}
	return func() (err error) {
		for _, wait := range told {
			if waitErr := wait(); err == nil && waitErr != nil {
				err = fmt.Errorf("what the command leaves running can't be kept: %w", waitErr)
			}
		}
		return err
	}
}

// tellOfLeft says which processes are killed with this context that their maker had
// left running, perhaps on purpose: those of left, which were running when the context
// began to shut down, that still are.
func (l *local) tellOfLeft(left []bootstrap.Left) {
	still := bootstrap.LeftRunning()
	left = slices.DeleteFunc(left, func(p bootstrap.Left) bool { return !slices.Contains(still, p) })
	if len(left) == 0 {
		return
	}
	const shown = 10
	var names []string
	for _, p := range left[:min(len(left), shown)] {
		names = append(names, fmt.Sprintf("%s (%d)", p.Name, p.PID))
	}
	if more := len(left) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	l.log.Warn("what commands have left running ends with the context; Command.KeepJobs, or --keep-jobs of the program mitosis, lets such processes live",
		"processes", strings.Join(names, ", "))
}
