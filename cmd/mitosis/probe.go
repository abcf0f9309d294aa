package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// parseProbe reads the arguments of "probe".
func parseProbe(args []string) (job, error) {
	path, err := operands(newFlags(), args, 1, noLimit)
	if err != nil {
		return nil, err
	}
	hops, err := parseHops(path)
	if err != nil {
		return nil, err
	}
	return func(out, errOut io.Writer) int {
		err := probe(hops, out)
		if _, ok := errors.AsType[*contexts.Error](err); ok {
			return complain(errOut, err, exitHop)
		} else if err != nil {
			return complain(errOut, err, exitError)
		}
		return 0
	}, nil
}

// probe connects all hops but the last, and prints the facts about the host behind that one.
func probe(hops []connect.Method, out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	self, node, err := dial(ctx, hops[:len(hops)-1])
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
