package tool

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/mitosis-go/mitosis/connect"
)

// AskPerson asks the person at the master, by the Prompt of an OpenRequest. It returns when
// ctx ends: prompt runs on a goroutine of its own, which a prompt that ignores its ctx keeps.
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

// TellPerson shows a notice at the master, by the Notify of an OpenRequest, or logs it if
// notify is nil. As with AskPerson, it returns when ctx ends.
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
