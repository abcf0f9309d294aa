package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"strings"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/fleet"
	"github.com/mitosis-go/mitosis/contexts/fleet/copies"
)

// copySeveral returns the job that copies to or from several hosts.
func (t *copyTask) copySeveral(command string, h *hosts, list []string) (job, error) {
	tasks := make(map[string]*copyTask, h.set.Len())
	targets := make(map[string]string)
	for host := range h.set.All() {
		own, words := *t, make([]string, len(list))
		for i, word := range list {
			words[i] = copies.PathFor(word, host)
		}
		if err := own.read(command, words); err != nil {
			return nil, err
		}
		own.host = host
		tasks[host] = &own
		if command == "put" {
			continue
		}
		to := filepath.Clean(words[len(words)-1])
		if other, taken := targets[to]; taken {
			err := fmt.Errorf("the copies of %s and %s would both be %s", printable(other), printable(host), printable(to))
			if !strings.Contains(list[len(list)-1], copies.Placeholder) {
				err = fmt.Errorf("%w: write %s into the name of the target, for the name of the host", err, copies.Placeholder)
			}
			return nil, err
		}
		targets[to] = host
	}
	return func(out, errOut io.Writer) int {
		s := &several{hosts: h, options: &t.several, what: command + " " + strings.Join(list, " "), status: statusOfCopy}
		begin := func(ctx context.Context, g *fleet.Group) iter.Seq2[*fleet.Member, fleet.Result[struct{}]] {
			return fleet.Do(ctx, g, func(ctx context.Context, m *fleet.Member, n *contexts.Node) (none struct{}, err error) {
				own := tasks[m.Name()]
				out, errOut := &labelled{s.screen, m.Name(), false, own.json}, &labelled{s.screen, m.Name(), true, false}
				own.copies(ctx, n, out, errOut, func(failed error) {
					if err != nil {
						failed = errors.Join(err, failed)
					}
					err = failed // alone it is as others have it, and is folded with them
				})
				if err == nil && ctx.Err() != nil {
					err = context.Cause(ctx)
				}
				return none, err
			})
		}
		return severally(s, out, errOut, begin, func(*fleet.Member, *fleet.Result[struct{}]) {})
	}, nil
}

func statusOfCopy(err error) int {
	if errors.Is(err, context.DeadlineExceeded) {
		return exitTimeout
	}
	return failure(err)
}

// labelled writes whole lines to a screen, behind the name of a host.
type labelled struct {
	screen *screen
	host   string
	stderr bool
	bare   bool // without the name
}

// Write implements io.Writer.
func (l *labelled) Write(b []byte) (int, error) {
	if l.bare {
		l.screen.print(b, l.stderr)
		return len(b), l.screen.written()
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(b), "\n"), "\n") {
		l.screen.line(l.host, []byte(line), l.stderr)
	}
	return len(b), l.screen.written()
}
