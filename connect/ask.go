package connect

import (
	"context"
	"fmt"
	"log/slog"
)

// askPerson asks at the master, by the Prompt of an Env. The asking goes on in a
// goroutine of its own, so that a function that does not heed its context holds
// up nobody else.
func askPerson(ctx context.Context, prompt func(context.Context, Prompt) (string, error), p Prompt) (string, error) {
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
		return "", fmt.Errorf("%w: asking %q: %w", ErrPasswordRequired, p.Text, r.err)
	}
	return r.text, nil
}

// tellPerson shows something at the master, by the Notify of an Env, or has it
// logged where there is none. As with askPerson, a function that does not return
// holds up nobody once ctx is done.
func tellPerson(ctx context.Context, notify func(context.Context, Notice), log *slog.Logger, n Notice) {
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
