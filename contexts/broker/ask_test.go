//go:build linux

package broker_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
)

// askingHop is a local hop that asks before it opens. Its word is ask:NAME or ask:NAME,KIND. The answer
// is secret(NAME).
type askingHop struct{ Name string }

func init() {
	connect.Register[askingHop]("ask")
	connect.RegisterSyntax("ask", func(arg string) (connect.Method, error) { return askingHop{arg}, nil })
}

func secret(name string) string { return "secret of " + name }

func (h askingHop) Label() string        { return "ask:" + h.Name }
func (askingHop) Traits() connect.Traits { return local.Child{}.Traits() }

func (h askingHop) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	if e.Prompt == nil {
		return nil, fmt.Errorf("%w: nobody to ask", connect.ErrPasswordRequired)
	}
	if strings.Contains(h.Name, "notice") && e.Notify != nil {
		e.Notify(ctx, connect.Notice{Text: "notice of " + h.Name})
	}
	answer, err := e.Prompt(ctx, connect.Prompt{Kind: connect.PromptPassword, Text: "password for " + h.Name + ": ", Attempt: 1})
	if err != nil {
		return nil, err
	}
	if answer != secret(h.Name) {
		return nil, fmt.Errorf("%w: %q", connect.ErrPassword, answer)
	}
	return local.Child{}.Open(ctx, e)
}
