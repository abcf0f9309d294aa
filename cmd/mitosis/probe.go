package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/fleet"
)

func declareProbe(s *sections) parser {
	var o hostOptions
	o.declare(s)
	var how severalOptions
	f := how.declare(s, "probe")
	f.BoolVarP(&how.gather, "gather", "b", false, "the answers at the end, equal ones together")
	return func(w words) (job, error) {
		one := func(hops []connect.Method) job { return probeJob(hops, &how) }
		many := func(h *hosts) (job, error) { return probeSeveral(h, &how), nil }
		return how.jobFor(&o, w.all(), "probe", one, many)
	}
}

// probeSeveral returns the job that probes several hosts. The members of the group are where
// their last hop begins.
func probeSeveral(h *hosts, how *severalOptions) job {
	last, before := make(map[string]connect.Method), make(map[string][]connect.Method)
	for name, hops := range h.hops {
		last[name], before[name] = hops[len(hops)-1], hops[:len(hops)-1]
	}
	return func(out, errOut io.Writer) int {
		s := &several{hosts: &hosts{set: h.set, hops: before}, options: how, what: "probe", status: func(error) int { return exitHop }}
		equal := make(folded)
		s.last = func() { equal.print(s.screen) }
		begin := func(ctx context.Context, g *fleet.Group) iter.Seq2[*fleet.Member, fleet.Result[string]] {
			return fleet.Do(ctx, g, func(ctx context.Context, m *fleet.Member, n *contexts.Node) (string, error) {
				offer, err := n.Probe(ctx, last[m.Name()])
				var text strings.Builder
				if err == nil {
					err = printOffer(&text, &offer)
				}
				return text.String(), err
			})
		}
		return severally(s, out, errOut, begin, func(m *fleet.Member, r *fleet.Result[string]) {
			switch {
			case r.Err != nil || r.Before:
			case how.gather:
				equal[r.Value] = append(equal[r.Value], m.Name())
			default:
				s.screen.block(fleet.NewHosts(m.Name()), r.Value)
			}
		})
	}
}

// probeJob probes one host.
func probeJob(hops []connect.Method, limits *severalOptions) job {
	return func(out, errOut io.Writer) int {
		err := probe(hops, limits, out)
		if _, ok := errors.AsType[*contexts.Error](err); ok {
			return complain(errOut, err, exitHop)
		} else if err != nil {
			return complain(errOut, err, exitError)
		}
		return 0
	}
}

// probe connects all hops but the last, and prints the facts about the host behind that one.
func probe(hops []connect.Method, limits *severalOptions, out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, end := limits.whileConnecting(ctx)
	defer end()
	self, node, err := dial(ctx, ctx, hops[:len(hops)-1])
	if err != nil {
		return err
	}
	defer self.Close()
	offer, err := node.Probe(ctx, hops[len(hops)-1])
	if err != nil {
		return err
	}
	return printOffer(out, &offer)
}

// printOffer prints the facts, and a table of the start methods: whether each would work, where,
// and what it lacks.
func printOffer(out io.Writer, offer *contexts.ProbeResult) error {
	facts := &offer.Facts
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "system\t%s %s\n", facts.Kernel, facts.Machine)
	fmt.Fprintf(w, "image wanted\t%s/%s\n", facts.GOOS(), facts.GOARCH())
	fmt.Fprintf(w, "user ID\t%d\n", facts.UID)
	fmt.Fprintf(w, "tools\t%s\n", orNone(facts.Tools, " "))
	fmt.Fprintf(w, "writable in memory\t%s\n", orNone(facts.Dirs, " "))
	if facts.NoProc {
		fmt.Fprint(w, "/proc\tnot mounted\n")
	}
	fmt.Fprintf(w, "would start by\t%s\n", cmp.Or(offer.StartMethod(), "nothing: no start method works there"))
	if offer.Hint != "" {
		fmt.Fprintf(w, "what would help\t%s\n", offer.Hint)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprint(w, "\nMETHOD\tSTATE\tWHERE\tLACKS\n")
	for i := 0; i < len(offer.StartMethods); {
		method := offer.StartMethods[i].StartMethod
		var where, lacks []string
		for ; i < len(offer.StartMethods) && offer.StartMethods[i].StartMethod == method; i++ {
			if r := offer.StartMethods[i]; r.Lacks == "" {
				where = append(where, r.Where)
			} else {
				lacks = append(lacks, r.Lacks)
			}
		}
		state := "closed"
		switch {
		case method == offer.StartMethod():
			state = "used"
		case len(where) > 0:
			state = "open"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", method, state, orNone(where, " "), orNone(lacks, "; "))
	}
	return w.Flush()
}

func orNone(list []string, between string) string {
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, between)
}
