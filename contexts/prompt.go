package contexts

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts/internal/tree"
	"github.com/mitosis-go/mitosis/core"
)

// The person in front of the master is asked for passwords and shown notices, whatever the
// depth of the hop that needs it.

// WithPrompts returns a ctx whose connects ask another person than the one in front of the
// master: each function, if not nil, is used in place of that of [Config]. It is for a master
// that connects on behalf of others.
//
// It concerns connects that the master asks for, at any depth. Where both hops that one context
// makes at a time have the same path, a question of one may go to the person of the other. If
// Config.Prompt is nil, other contexts ask nobody: a master that asks by WithPrompts only sets it
// to a function that returns [connect.ErrPasswordRequired].
func WithPrompts(ctx context.Context, prompt func(context.Context, connect.Prompt) (string, error), notify func(context.Context, connect.Notice)) context.Context {
	return context.WithValue(ctx, personKey{}, tree.Person{Prompt: prompt, Notify: notify})
}

type personKey struct{}

// personOf returns the person whom connects with ctx ask.
func personOf(ctx context.Context) tree.Person {
	p, _ := ctx.Value(personKey{}).(tree.Person)
	return p
}

// orOwn returns a person with the functions of this context's configuration in place of missing ones.
func (l *local) orOwn(p tree.Person) tree.Person {
	if p.Prompt == nil {
		p.Prompt = l.cfg.Prompt
	}
	if p.Notify == nil {
		p.Notify = l.cfg.Notify
	}
	return p
}

// prompter returns the function with which a hop at path asks its questions; nil if nobody
// can be asked. ctx is that of the connect.
func (l *local) prompter(ctx context.Context, path string) func(context.Context, connect.Prompt) (string, error) {
	ask := l.orOwn(personOf(ctx)).Prompt
	if ask == nil {
		return nil
	}
	return func(ctx context.Context, p connect.Prompt) (string, error) {
		p.Path = path
		return ask(ctx, p)
	}
}

// promptMaster asks the person at the master.
func (l *local) promptMaster(ctx context.Context, p connect.Prompt) (string, error) {
	answer, err := promptFunc.Call(ctx, l.master(), p)
	return string(answer), err
}

// promptFunc runs in the master. A context may ask only while the master has it connect: a
// compromised host must not be able to ask for passwords whenever it likes. The path that
// is shown begins with the true path of that context, whatever the context says.
var promptFunc = NewFunc("mitosis.prompt", func(ctx context.Context, p connect.Prompt) (connect.Secret, error) {
	c := callOf(ctx)
	l := c.l
	p.Path = l.pathWithin(c.m.Src, p.Path)
	person, may := l.children.PersonFor(c.m.Src, p.Path)
	ask := l.orOwn(person).Prompt
	if !may || ask == nil || l.id != core.Master {
		return "", ErrRefused
	}
	lines := strings.Split(p.Text, "\n")
	for i := range lines {
		lines[i] = tree.Printable(lines[i])
	}
	p.Text = strings.Join(lines, "\n")
	answer, err := ask(ctx, p)
	return connect.Secret(answer), err
}, AllowDescendants)

const (
	// noticeBurst notices of all descendants together are shown at once, and noticeRate
	// more each second. Others go to the log, which has bounds of its own.
	noticeRate  = 10
	noticeBurst = 200
)

// notifier returns the function with which a hop at path shows its notices; nil if nobody
// wants to see them. ctx is that of the connect.
func (l *local) notifier(ctx context.Context, path string) func(context.Context, connect.Notice) {
	show := l.orOwn(personOf(ctx)).Notify
	if show == nil {
		return nil
	}
	return func(ctx context.Context, n connect.Notice) {
		n.Path = path
		show(ctx, n)
	}
}

// notifyMaster has the master show a notice. If the master refuses, the notice is logged.
func (l *local) notifyMaster(ctx context.Context, n connect.Notice) {
	if _, err := noticeFunc.Call(ctx, l.master(), n); err != nil {
		l.log.Info("the far side tells", "hop", n.Path, "text", n.Text)
	}
}

// noticeMeter bounds how many notices a master shows.
type noticeMeter struct {
	mu    sync.Mutex
	meter core.Meter // guarded by mu
}

func (m *noticeMeter) take() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.meter.Take(time.Now(), 1, noticeRate, noticeBurst)
}

// noticeFunc runs in the master. A context may have a bounded number of notices shown: under
// its true path, and without control characters.
var noticeFunc = NewFunc("mitosis.notice", func(ctx context.Context, n connect.Notice) (struct{}, error) {
	c := callOf(ctx)
	l := c.l
	n = connect.Notice{Path: l.pathWithin(c.m.Src, n.Path), Text: tree.Printable(n.Text)}
	person, _ := l.children.PersonFor(c.m.Src, n.Path)
	show := l.orOwn(person).Notify
	if show == nil || l.id != core.Master || !l.notices.take() {
		return struct{}{}, ErrRefused
	}
	show(ctx, n)
	return struct{}{}, nil
}, AllowDescendants)

// pathWithin returns path if it is below the path of a context, and else the path of that
// context: a context can't pass for another one.
func (l *local) pathWithin(id core.ID, path string) string {
	own := l.pathOf(id)
	if !strings.HasPrefix(path, own+"/") {
		return own
	}
	return tree.Printable(path)
}
