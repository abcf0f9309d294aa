package fleet

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/core"
)

// runRequest is a command that a member runs by itself.
type runRequest struct {
	Args []string
	Keep int
}

// ran is what came of it. An error is part of it, because there is output in any case.
type ran struct {
	Output travelling
	Err    []byte // encoded; nil: none
}

// travelling is an Output without its methods. Every copy of a program would carry these, with
// all that they need of encoding/json.
type travelling Output

var runFunc = contexts.NewFunc("mitosis.fleet.run", func(ctx context.Context, q runRequest) (ran, error) {
	c := Command{Args: q.Args, Keep: q.Keep}
	out, err := c.run(ctx, nil, contexts.Self(ctx), new(sync.Mutex))
	r := ran{Output: travelling(out)}
	if exit, ok := errors.AsType[*contexts.ExitError](err); ok {
		// Process IDs and times differ from member to member: the same end is equal.
		err = &contexts.ExitError{ProcessState: contexts.ProcessState{Code: exit.Code, Signal: exit.Signal, Core: exit.Core}}
	}
	if err != nil {
		r.Err = core.EncodeError(err)
	}
	return r, nil
})

// runGathered is Run by way of the contexts above the members.
func runGathered(ctx context.Context, g *Group, c Command) iter.Seq2[*Member, Result[Output]] {
	return func(yield func(*Member, Result[Output]) bool) {
		call, err := runFunc.Encode(runRequest{c.Args, c.Keep})
		gather := newGatherer(ctx, g, runFunc.Name(), call)
		defer gather.close()
		each(ctx, g, func(ctx context.Context, _ *Member, n *contexts.Node) (Output, error) {
			if err != nil {
				return Output{}, err
			}
			body, err := gather.callNode(ctx, n)
			if err != nil {
				return Output{ExitStatus: -1}, err
			}
			r, err := runFunc.Decode(body)
			if err == nil && r.Err != nil {
				err = core.DecodeError(r.Err)
				if exit, ok := errors.AsType[*contexts.ExitError](err); ok {
					err = exit
				}
			}
			return Output(r.Output), err
		})(yield)
	}
}
