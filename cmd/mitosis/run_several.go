package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/fleet"
)

// keptOutput bounds how much of each output of a host -b and --json have: the end of it.
const keptOutput = 1 << 20

// runSeveral returns the job that runs the task's program on several hosts.
func (t *task) runSeveral(h *hosts) job {
	return func(out, errOut io.Writer) int {
		in, err := newInput(t.noInput)
		if err != nil {
			return complain(errOut, err, exitError)
		}
		defer in.close()
		s := &several{hosts: h, options: &t.several, what: "run " + strings.Join(t.argv, " "), silent: t.several.json}
		equal := make(folded)
		s.last = func() { equal.print(s.screen) }
		begin := func(ctx context.Context, g *fleet.Group) iter.Seq2[*fleet.Member, fleet.Result[fleet.Output]] {
			return fleet.Run(ctx, g, t.fleetCommand(s.screen, t.argv, in))
		}
		return severally(s, out, errOut, begin, func(m *fleet.Member, r *fleet.Result[fleet.Output]) {
			switch {
			case t.several.json:
				row(s.screen, m, r)
			case t.several.gather:
				equal.add(m.Name(), r)
			}
		})
	}
}

// fleetCommand is a command of the task for package fleet. Its output comes on the screen line
// by line, unless it is wanted at the end.
func (t *task) fleetCommand(screen *screen, argv []string, in *input) fleet.Command {
	c := fleet.Command{Args: argv, Keep: -1, Make: func(_ *fleet.Member, cmd *contexts.Command) error {
		t.equip(cmd)
		cmd.Stdin = in.reader()
		return nil
	}}
	if t.several.json || t.several.gather {
		c.Keep = keptOutput
	}
	if !t.several.json {
		c.Line = func(m *fleet.Member, l fleet.Line) {
			if l.Stderr || !t.several.gather {
				screen.line(m.Name(), l.Text, l.Stderr)
			}
		}
	}
	return c
}

// folded has the hosts of each output, for -b.
type folded map[string][]string

// add adds the output of a host. One that printed nothing is not shown.
func (f folded) add(host string, r *fleet.Result[fleet.Output]) {
	text := string(r.Value.Stdout)
	if gone := r.Value.StdoutBytes - int64(len(text)); gone > 0 {
		text = fmt.Sprintf("[%d bytes in front are left out]\n%s", gone, text)
	}
	if text != "" {
		f[text] = append(f[text], host)
	}
}

// print prints each output below the names of its hosts, that of the most hosts first.
func (f folded) print(s *screen) {
	texts := slices.SortedFunc(maps.Keys(f), func(a, b string) int {
		return cmp.Or(len(f[b])-len(f[a]), cmp.Compare(slices.Min(f[a]), slices.Min(f[b])))
	})
	for _, text := range texts {
		s.block(fleet.NewHosts(f[text]...), text)
	}
}

// block prints the output of hosts below their names, as clush -b does.
func (s *screen) block(hosts fleet.HostSet, text string) {
	name := printable(hosts.String())
	if n := hosts.Len(); n > 1 {
		name += fmt.Sprintf(" (%d)", n)
	}
	const rule = "---------------\n"
	b := []byte(rule + name + "\n" + rule)
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		b = append(append(b, s.shown([]byte(line), false)...), '\n')
	}
	s.print(b, false)
}
