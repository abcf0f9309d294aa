package contexts

import (
	"context"
	"fmt"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts/internal/tree"
	"github.com/mitosis-go/mitosis/core"
)

// What contexts ask of each other beyond user functions is itself made of
// functions: they get authority, cancellation, deadlines and errors from the
// same place as everyone else's. Only what an ancestor may ask of a descendant
// is here, but for the prompt.

var pingFunc = NewFunc("mitosis.ping", func(context.Context, struct{}) (struct{}, error) {
	return struct{}{}, nil
}, AllowDescendants)

// throughOf returns the context that a hop made elsewhere goes through, nil
// where it goes through none. Where it can't go the way that it was told, it is
// not made: it must not go another.
func (l *local) throughOf(m connect.Method) (*Node, error) {
	t, ok := m.(connect.ThroughMethod)
	if !ok || t.ThroughDialer() == nil {
		return nil, nil
	}
	switch n, ok := t.ThroughDialer().(*Node); {
	case !ok:
		return nil, fmt.Errorf("%w: a hop made by another context can only go through a *contexts.Node, not through a %T", connect.ErrStart, t.ThroughDialer())
	case n == nil || n.self != l:
		return nil, fmt.Errorf("%w: it is to go through %v: %w", connect.ErrStart, n, errOtherTree)
	default:
		return n, n.gone()
	}
}

// prompter returns what a hop at path asks its questions with, nil where
// nobody can be asked.
func (l *local) prompter(path string) func(context.Context, connect.Prompt) (string, error) {
	if l.cfg.Prompt == nil {
		return nil
	}
	return func(ctx context.Context, p connect.Prompt) (string, error) {
		p.Path = path
		return l.cfg.Prompt(ctx, p)
	}
}

// promptMaster asks the person at the master.
func (l *local) promptMaster(ctx context.Context, p connect.Prompt) (string, error) {
	answer, err := promptFunc.Call(ctx, l.master(), p)
	return string(answer), err
}

// promptFunc runs in the master. A context may ask only while the master has
// it connect: a compromised host must not be able to open a password dialogue
// whenever it likes. The path shown is the true one of who asks, whatever
// that one says.
var promptFunc = NewFunc("mitosis.prompt", func(ctx context.Context, p connect.Prompt) (connect.Secret, error) {
	c := callOf(ctx)
	l := c.l
	if !l.children.MayAsk(c.m.Src) || l.cfg.Prompt == nil || l.id != core.Master {
		return "", ErrRefused
	}
	p.Path = l.pathWithin(c.m.Src, p.Path)
	lines := strings.Split(p.Text, "\n")
	for i := range lines {
		lines[i] = tree.Printable(lines[i])
	}
	p.Text = strings.Join(lines, "\n")
	answer, err := l.cfg.Prompt(ctx, p)
	return connect.Secret(answer), err
}, AllowDescendants)
