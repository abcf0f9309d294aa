//go:build linux || darwin || freebsd

package broker

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// askers are the clients that wait for hosts, by the keys of these. A connection may be made for
// several of them: the first answers its questions, and the next one if that has left.
type askers struct {
	mu   sync.Mutex
	all  map[string][]*waiting // guarded by mu
	open map[string]int        // guarded by mu: questions under way, by the key of the connection
}

type waiting struct {
	person
	clock *clock // held while a question for what it waits for is under way
}

// add adds a client until end is called.
func (a *askers) add(key string, p person, c *clock) (end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := &waiting{p, c}
	if a.all == nil {
		a.all, a.open = make(map[string][]*waiting), make(map[string]int)
	}
	for asked, n := range a.open {
		if strings.HasPrefix(key, asked) {
			for range n {
				c.hold()
			}
		}
	}
	a.all[key] = append(a.all[key], w)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		left := slices.DeleteFunc(a.all[key], func(other *waiting) bool { return other == w })
		if a.all[key] = left; len(left) == 0 {
			delete(a.all, key)
		}
	}
}

// question notes that somebody is asked for the connection of a key, until end is called.
func (a *askers) question(key string) (end func()) {
	change := func(n int, each func(*clock)) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.open[key] += n; a.open[key] == 0 {
			delete(a.open, key)
		}
		for other, clients := range a.all {
			if strings.HasPrefix(other, key) {
				for _, w := range clients {
					each(w.clock)
				}
			}
		}
	}
	change(1, (*clock).hold)
	return func() { change(-1, (*clock).goOn) }
}

// of returns the clients that wait for a host, or for one that is reached through it. The key of a
// host begins the keys of those.
func (a *askers) of(key string) (all []*waiting) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for other, clients := range a.all {
		if strings.HasPrefix(other, key) {
			all = append(all, clients...)
		}
	}
	slices.SortFunc(all, func(a, b *waiting) int { return cmp.Compare(a.place(), b.place()) })
	return all
}

// opening gives the ctx of a connect those whom it asks. The pool calls it for each connection that
// it opens.
func (b *broker) opening(ctx context.Context, key string) context.Context {
	return contexts.WithPrompts(ctx,
		func(ctx context.Context, p connect.Prompt) (string, error) { return b.ask(ctx, key, p) },
		func(_ context.Context, n connect.Notice) {
			for _, w := range b.asking.of(key) {
				w.tell(n)
			}
		})
}

// ask asks the first that answers, of those who wait for a host.
func (b *broker) ask(ctx context.Context, key string, p connect.Prompt) (string, error) {
	defer b.asking.question(key)()
	tried := make(map[*waiting]bool)
	for {
		all := slices.DeleteFunc(b.asking.of(key), func(w *waiting) bool { return tried[w] })
		if len(all) == 0 {
			return "", errNobody
		}
		tried[all[0]] = true
		if text, err := all[0].ask(ctx, p); !errors.Is(err, errNobody) {
			return text, err
		}
	}
}
