package tool

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
)

// Run runs a tool to its end and returns its standard output. The end of ctx kills it. explain
// finds the class of a failure.
func Run(ctx context.Context, hop, phase string, argv []string, explain func(Ending) failure.Verdict) (string, error) {
	var said Words
	said.secrets, said.last = &Secrets{}, &LastWords{On: OnStderr}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stderr, cmd.WaitDelay = &said, time.Second
	out, err := cmd.Output()
	if err == nil {
		return string(out), nil
	}
	e := &connect.Error{Hop: hop, Phase: phase, Output: said.String()}
	v := explain(Ending{Said: strings.Split(e.Output, " / ")})
	e.Err, e.Hint = v.Class, v.Hint
	switch {
	case ctx.Err() != nil:
		e.Err = fmt.Errorf("%w: %w", connect.ErrTimeout, context.Cause(ctx))
	case cmd.Process == nil:
		e.Err = failure.Classify(connect.ErrNoContainer, failure.Classify(connect.ErrStart, err))
	}
	e.Err = cmp.Or(e.Err, fmt.Errorf("%w: %s: %w", connect.ErrNoContainer, argv[0], err))
	return "", e
}
