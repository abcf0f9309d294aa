package contexts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/contexts/internal/tree"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// A tree is closed from the leaves up, within one budget of time. A context closes all of
// its children side by side. Their budget is its own, without the time of its report. When
// the budget is used up, the links to children that have not answered are closed. That
// ends everything below them at once, without a report. The reports are gathered on the
// way up, and logged once.

// Survivor tells of processes that Close could not end.
type Survivor struct {
	Path      string // the context that started them
	Processes int
}

// closeReport tells how a context, and those below it, ended.
type closeReport struct {
	Survivors []Survivor `cbor:"1,keyasint,omitempty"`
	// Forced counts the contexts that did not shut down in order. The contexts below
	// them are not counted. First has some of them, with the reason.
	Forced int      `cbor:"2,keyasint,omitempty"`
	First  []string `cbor:"3,keyasint,omitempty"`
}

const (
	// maxFirst bounds closeReport.First.
	maxFirst = 3
	// maxSurvivors bounds the survivors that an error lists by name.
	maxSurvivors = 20
	// reportTime is the part of a budget that is kept for the report.
	reportTime = 200 * time.Millisecond
	// leastBudget is the budget of a context whose parent has no time left.
	leastBudget = 100 * time.Millisecond
	// forceTime is the time beyond its budget that the closing of a context may take its
	// parent. A tool that has to be killed takes half of it.
	forceTime = 10 * time.Second
)

// below returns the budget of children: time for a report is kept.
func below(budget time.Duration) time.Duration { return budget - min(budget/5, reportTime) }

// add adds the report of a context below.
func (r *closeReport) add(other closeReport) {
	for _, s := range other.Survivors {
		r.Survivors = append(r.Survivors, Survivor{tree.Word(s.Path), s.Processes})
	}
	r.Forced += max(other.Forced, 0)
	for _, text := range other.First {
		if len(r.First) < maxFirst {
			r.First = append(r.First, tree.Word(text))
		}
	}
}

// tell logs the contexts that had to be ended by force.
func (r *closeReport) tell(log *slog.Logger) {
	if r.Forced > 0 {
		log.Warn("contexts did not shut down in order and were ended by force, with all below them",
			"contexts", r.Forced, "first", strings.Join(r.First, "; "))
	}
}

// failure returns the error of Close; nil if nothing survived.
func (r *closeReport) failure(path string) error {
	if len(r.Survivors) == 0 {
		return nil
	}
	var b strings.Builder
	for i, v := range r.Survivors {
		if i > 0 {
			b.WriteString(", ")
		}
		if i == maxSurvivors {
			fmt.Fprintf(&b, "and more of %d other contexts", len(r.Survivors)-i)
			break
		}
		fmt.Fprintf(&b, "%d of %s", v.Processes, v.Path)
	}
	return &Error{Op: "close", Path: path, Err: fmt.Errorf("processes survived: %s", b.String())}
}

// closeChildren closes all children side by side.
func (l *local) closeChildren(budget time.Duration) (all closeReport) {
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for _, c := range l.children.List() {
		wg.Go(func() {
			r := l.closeChild(c, budget)
			mu.Lock()
			defer mu.Unlock()
			all.add(r)
		})
	}
	wg.Wait()
	return all
}

// closeChild closes a child, and returns when it is closed. The report is for the first of those
// who close it at the same time; that of the others is empty.
func (l *local) closeChild(c *tree.Child, budget time.Duration) (report closeReport) {
	c.CloseOnce(func() { report = l.shutChild(c, max(budget, leastBudget)) })
	return report
}

// shutChild asks a child to shut down. Then it closes the link, which ends the child in any
// case, and the carrier, which ends the tool.
func (l *local) shutChild(c *tree.Child, budget time.Duration) closeReport {
	ctx, cancel := context.WithTimeout(l.SendCtx, budget)
	defer cancel()
	report, err := shutdownFunc.Call(ctx, l.node(c.ID), below(budget))
	if err != nil && !errors.Is(err, ErrGone) {
		report = closeReport{Forced: 1, First: []string{l.pathOf(c.ID) + ": " + reasonWithoutCall(err).Error()}}
	}
	c.Link.Close(ErrClosed)
	_ = c.Carrier.Close()
	return report
}

// closeNode closes another context. It closes a child itself, and asks the parent of any
// other context to do so: the parent holds the link.
func (l *local) closeNode(n *Node) error {
	if n.Err() != nil {
		return nil
	}
	if c := l.children.Get(n.id); c != nil {
		report := l.closeChild(c, l.cfg.CloseTimeout)
		<-n.life.done
		report.tell(l.log)
		return report.failure(n.String())
	}
	via := n.Parent()
	if via == nil || via.id == n.id {
		return &Error{Op: "close", Path: n.String(), Err: ErrRefused}
	}
	ctx, cancel := context.WithTimeout(l.SendCtx, l.cfg.CloseTimeout+forceTime)
	defer cancel()
	report, err := closeFunc.Call(ctx, via, n.id)
	// A parent that is being closed itself takes n with it.
	if err != nil && !errors.Is(err, ErrGone) && !errors.Is(err, ErrClosed) {
		return &Error{Op: "close", Path: n.String(), Err: err}
	}
	select {
	case <-n.life.done:
	case <-ctx.Done():
	}
	var all closeReport
	all.add(report)
	all.tell(l.log)
	return all.failure(n.String())
}

// shutdownFunc shuts a context down, all but its link: the parent closes that when it has
// read the report. The function calls itself in the children.
var shutdownFunc = Declare[time.Duration, closeReport]("mitosis.shutdown")

func init() {
	shutdownFunc.Define(func(ctx context.Context, budget time.Duration) (closeReport, error) {
		c := callOf(ctx)
		if c.l.id == core.Master {
			return closeReport{}, ErrRefused
		}
		return c.l.shutdown(min(budget, time.Minute)), nil
	})
}

// closeFunc closes a child of the context it is called in.
var closeFunc = NewFunc("mitosis.close", func(ctx context.Context, id core.ID) (closeReport, error) {
	l := callOf(ctx).l
	c := l.children.Get(id)
	if c == nil {
		return closeReport{}, nil // it is gone already
	}
	return l.closeChild(c, l.cfg.CloseTimeout), nil
})

// tellOfLeft logs which processes are killed with this context although a command left
// them running, perhaps on purpose. left are those that were running when the context
// began to shut down.
func (l *local) tellOfLeft(left []bootstrap.Left) {
	still := bootstrap.LeftRunning()
	left = slices.DeleteFunc(left, func(p bootstrap.Left) bool { return !slices.Contains(still, p) })
	if len(left) == 0 {
		return
	}
	const shown = 10
	var names []string
	for _, p := range left[:min(len(left), shown)] {
		names = append(names, fmt.Sprintf("%s (%d)", p.Name, p.PID))
	}
	if more := len(left) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	l.log.Warn("processes that commands have left running end with the context; Command.KeepJobs, or --keep-jobs of the program mitosis, lets them live",
		"processes", strings.Join(names, ", "))
}

// onShutdown is called when the parent wants this context to end. The end of the link
// means the same.
func (l *local) onShutdown(router.Message) {
	l.Lose()
}

// errShutdown is the cause with which calls are cancelled at the end.
var errShutdown = &Error{Op: "run", Kind: core.KindClosed, Err: errors.New("the context is shutting down")}

// shutdown ends all work here, from the leaves up. Calls are cancelled, objects of services
// and then children are closed, and then the processes end that were started from here. The router stays:
// records and printed lines of all of them go up, and then the report.
func (l *local) shutdown(budget time.Duration) closeReport {
	deadline := time.Now().Add(budget)
	l.calls.Close()
	left := bootstrap.LeftRunning() // before the tools of hops below end, which leave processes for a moment
	l.Cancel(errShutdown)
	l.Ends.Run(budget / 2)
	l.leftovers.Remove()
	report := l.closeChildren(below(time.Until(deadline)))
	if !l.ownsProcess() {
		// The processes of the master, and of a guest, are the user's.
		return report
	}
	l.tellOfLeft(left)
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	if n := bootstrap.KillDescendants(ctx, killGrace); n > 0 {
		report.Survivors = append(report.Survivors, Survivor{Path: l.displayPath(), Processes: n})
	}
	l.WaitKept(time.Until(deadline))
	if l.up != nil {
		l.up.output.Stop(ctx)
	}
	_ = l.router.Flush(ctx)
	return report
}

// killGrace is the time that processes have between SIGTERM and SIGKILL.
const killGrace = 300 * time.Millisecond

// lossGrace is the time that calls and processes have to end by themselves once the parent
// is lost. It is short: a person who kills the master wants all of the tree to end.
const lossGrace = 50 * time.Millisecond

// endsGrace is the time that objects of services have to close once the parent is lost. The
// process ends half a second later in any case.
const endsGrace = time.Second

// abandon ends a context that has lost its parent. There is nobody to report to, so the
// contexts below are not closed in order: their links end now, and each of them abandons
// itself at the same time. The guard ends the processes that are left when this returns.
func (l *local) abandon() {
	l.calls.Close()
	l.Cancel(errShutdown)
	l.leftovers.Remove()
	l.EndSend()
	var ending sync.WaitGroup
	ending.Go(func() { _ = l.router.Close(ErrClosed) })
	ending.Go(func() { bootstrap.KillDescendants(context.Background(), lossGrace) })
	ending.Go(func() { l.Ends.Run(endsGrace) })
	l.calls.Wait(lossGrace)
	ending.Wait()
}

// close ends the local context. In the master that ends the whole tree.
func (l *local) close() error {
	return l.CloseOnce(func() error {
		report := l.shutdown(l.cfg.CloseTimeout)
		report.tell(l.log)
		l.calls.Wait(callGrace)
		l.listeners.Close()
		l.EndSend()
		_ = l.router.Close(ErrClosed)
		l.Tasks.Wait()
		l.profiles.Wait()
		if l.logs != nil {
			l.logs.Close()
		}
		for _, id := range l.nodes.ids() {
			l.nodeLost(id, ErrClosed)
		}
		return report.failure(l.displayPath())
	})
}

// callGrace is how long Close waits for calls that run here and were cancelled. A function
// that does not heed its ctx is left running.
const callGrace = time.Second
