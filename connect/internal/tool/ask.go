package tool

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/mitosis-go/mitosis/connect"
)

// AskPerson asks at the master, by the Prompt of an Env. The asking goes on in a
// goroutine of its own, so that a function that does not heed its context holds
// up nobody else.
func AskPerson(ctx context.Context, prompt func(context.Context, connect.Prompt) (string, error), p connect.Prompt) (string, error) {
	type reply struct {
		text string
		err  error
	}
	replies := make(chan reply, 1)
	go func() {
		text, err := prompt(ctx, p)
		replies <- reply{text, err}
	}()
	var r reply
	select {
	case r = <-replies:
	case <-ctx.Done():
		r.err = context.Cause(ctx)
	}
	if r.err != nil {
		return "", fmt.Errorf("%w: asking %q: %w", connect.ErrPasswordRequired, p.Text, r.err)
	}
	return r.text, nil
}

// TellPerson shows something at the master, by the Notify of an Env, or has it
// logged where there is none. As with AskPerson, a function that does not return
// holds up nobody once ctx is done.
func TellPerson(ctx context.Context, notify func(context.Context, connect.Notice), log *slog.Logger, n connect.Notice) {
	if notify == nil {
		if log != nil {
			log.InfoContext(ctx, "the far side tells", "hop", n.Path, "text", n.Text)
		}
		return
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		notify(ctx, n)
	}()
	select {
	case <-told:
	case <-ctx.Done():
	}
}
