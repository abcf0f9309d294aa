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
	f.BoolVar(&how.json, "json", false, "a JSON object for each host, on a line")
	return func(w words) (job, error) {
		one := func(hops []connect.Method) job { return probeJob(hops, &how) }
		many := func(h *hosts) (job, error) { return probeSeveral(h, &how), nil }
		return how.jobFor(&o, w.all(), "probe", how.json, one, many)
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
		s := &several{hosts: &hosts{set: h.set, hops: before}, options: how, what: "probe", status: func(error) int { return exitHop }, silent: how.json}
		equal := make(folded)
		s.last = func() { equal.print(s.screen) }
		begin := func(ctx context.Context, g *fleet.Group) iter.Seq2[*fleet.Member, fleet.Result[*probed]] {
			return fleet.Do(ctx, g, func(ctx context.Context, m *fleet.Member, n *contexts.Node) (*probed, error) {
				offer, err := n.Probe(ctx, last[m.Name()])
				if err != nil {
					return nil, err
				}
				return newProbed(&offer), nil
			})
		}
		return severally(s, out, errOut, begin, func(m *fleet.Member, r *fleet.Result[*probed]) {
			switch {
			case how.json:
				row(s.screen, m, r)
			case r.Err != nil || r.Before:
			case how.gather:
				text := r.Value.String()
				equal[text] = append(equal[text], m.Name())
			default:
				s.screen.block(fleet.NewHosts(m.Name()), r.Value.String())
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
	self, err := startTree(ctx, os.Stderr) // not by a broker: a probe tells how a copy would start
	if err != nil {
		return err
	}
	defer self.Close()
	node, err := self.ConnectHops(ctx, hops[:len(hops)-1]...)
	if err != nil {
		return err
	}
	offer, err := node.Probe(ctx, hops[len(hops)-1])
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, newProbed(&offer).String())
	return err
}

// probed is what probe finds out about a host, as docs/schema/probe.json says.
type probed struct {
	System   string   `json:"system"`
	Machine  string   `json:"machine"`
	Image    string   `json:"image"` // GOOS/GOARCH
	UID      int      `json:"uid"`
	Tools    []string `json:"tools"`
	InMemory []string `json:"writable_in_memory"`
	NoProc   bool     `json:"no_proc"`
	Start    string   `json:"starts_by"` // empty: by nothing
	Hint     string   `json:"hint"`
	Methods  []way    `json:"methods"`
}

// way is a start method: whether it would work, where, and what it lacks.
type way struct {
	Method string   `json:"method"`
	State  string   `json:"state"` // used, open or closed
	Where  []string `json:"where"`
	Lacks  []string `json:"lacks"`
}

func newProbed(offer *contexts.ProbeResult) *probed {
	facts := &offer.Facts
	list := func(of []string) []string { return append([]string{}, of...) } // [] in JSON, and not null
	p := &probed{
		System: facts.Kernel, Machine: facts.Machine, Image: facts.GOOS() + "/" + facts.GOARCH(), UID: facts.UID,
		Tools: list(facts.Tools), InMemory: list(facts.Dirs), NoProc: facts.NoProc, Start: string(offer.StartMethod()), Hint: offer.Hint,
	}
	for i := 0; i < len(offer.StartMethods); {
		method := offer.StartMethods[i].StartMethod
		w := way{Method: string(method), State: "closed", Where: []string{}, Lacks: []string{}}
		for ; i < len(offer.StartMethods) && offer.StartMethods[i].StartMethod == method; i++ {
			if r := offer.StartMethods[i]; r.Lacks == "" {
				w.Where = append(w.Where, r.Where)
			} else {
				w.Lacks = append(w.Lacks, r.Lacks)
			}
		}
		switch {
		case method == offer.StartMethod():
			w.State = "used"
		case len(w.Where) > 0:
			w.State = "open"
		}
		p.Methods = append(p.Methods, w)
	}
	return p
}

// String returns the facts, and a table of the start methods.
func (p *probed) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "system\t%s %s\n", p.System, p.Machine)
	fmt.Fprintf(w, "image wanted\t%s\n", p.Image)
	fmt.Fprintf(w, "user ID\t%d\n", p.UID)
	fmt.Fprintf(w, "tools\t%s\n", orNone(p.Tools, " "))
	fmt.Fprintf(w, "writable in memory\t%s\n", orNone(p.InMemory, " "))
	if p.NoProc {
		fmt.Fprint(w, "/proc\tnot mounted\n")
	}
	fmt.Fprintf(w, "would start by\t%s\n", cmp.Or(p.Start, "nothing: no start method works there"))
	if p.Hint != "" {
		fmt.Fprintf(w, "what would help\t%s\n", p.Hint)
	}
	w.Flush()
	fmt.Fprint(w, "\nMETHOD\tSTATE\tWHERE\tLACKS\n")
	for _, m := range p.Methods {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", m.Method, m.State, orNone(m.Where, " "), orNone(m.Lacks, "; "))
	}
	w.Flush()
	return b.String()
}

func orNone(list []string, between string) string {
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, between)
}
