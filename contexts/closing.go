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

// A tree is closed from the leaves up, all children of a context side by side, within
// one budget: each context gives its children what it has but for the time of its
// own report. When the budget is used up, the links to those that have not
// answered are closed. That ends everything below them at once, without a word from
// there. What had to be ended so is gathered on the way up, and said once.

// Survivor tells of processes that Close could not end.
type Survivor struct {
	Path      string // the context that started them
	Processes int
}

// closeReport is what came of the closing of a context.
type closeReport struct {
	Survivors []Survivor `cbor:"1,keyasint,omitempty"`
	// Forced counts the contexts that did not shut down in order, those below them
	// not included; First are some of them, with the reason.
	Forced int      `cbor:"2,keyasint,omitempty"`
	First  []string `cbor:"3,keyasint,omitempty"`
}

const (
	// maxFirst bounds closeReport.First.
	maxFirst = 3
	// maxSurvivors bounds those that an error lists by name.
	maxSurvivors = 20
	// reportTime is kept of a budget for a report to be sent up.
	reportTime = 200 * time.Millisecond
	// leastBudget is what a context gets in any case.
	leastBudget = 100 * time.Millisecond
	// forceTime bounds, beyond its budget, the closing of a context by its parent: a
	// tool that has to be killed takes half of it.
	forceTime = 10 * time.Second
)

// below is the budget of those for whose reports there has to be time.
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

// tell logs what had to be ended by force.
func (r *closeReport) tell(log *slog.Logger) {
	if r.Forced > 0 {
		log.Warn("contexts did not shut down in order and were ended by force, with all below them",
			"contexts", r.Forced, "first", strings.Join(r.First, "; "))
	}
}

// failure is the error of Close, nil where nothing survived.
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

// closeChild asks a child to shut down, then closes its link, which ends it in
// any case, and its carrier, which ends the tool.
func (l *local) closeChild(c *tree.Child, budget time.Duration) closeReport {
	budget = max(budget, leastBudget)
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

// closeNode closes a context other than this one: a child directly, others by
// way of their parent, which holds the link.
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
	if err != nil && !errors.Is(err, ErrGone) {
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

// shutdownFunc shuts a context down but for its link, which the parent closes
// when it has read the report. It calls itself in the children.
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
		return closeReport{}, ErrGone
	}
	return l.closeChild(c, l.cfg.CloseTimeout), nil
})

// tellOfLeft says which processes are killed with this context that their maker had
// left running, perhaps on purpose: those of left, which were running when the context
// began to shut down, that still are.
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
	l.log.Warn("what commands have left running ends with the context; Command.KeepJobs, or --keep-jobs of the program mitosis, lets such processes live",
		"processes", strings.Join(names, ", "))
}

// onShutdown is the parent's word to end. The link's end says the same.
func (l *local) onShutdown(router.Message) {
	l.Lose()
}

// errShutdown is the cause with which calls are cancelled at the end.
var errShutdown = &Error{Op: "run", Kind: core.KindClosed, Err: errors.New("the context is shutting down")}

// shutdown ends what goes on here, from the leaves up: calls are cancelled,
// children closed, then the processes that were started from here. What all of
// them logged and printed goes up ahead of the report of what did not end in time,
// for which the router stays.
func (l *local) shutdown(budget time.Duration) closeReport {
	deadline := time.Now().Add(budget)
	l.calls.Close()
	left := bootstrap.LeftRunning() // before the tools of hops below end, which leave something for a moment
	l.Cancel(errShutdown)
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

// lossGrace is what calls and processes have to end by themselves once the
// parent is lost. It is short: whoever killed the master wants it all to end.
const lossGrace = 50 * time.Millisecond

// abandon ends a context that has lost its parent. Nobody is left to report to,
// so the contexts below are not closed one after the other: their links end now,
// and each of them does the same at the same time. What is not done when this
// returns is the guard's.
func (l *local) abandon() {
	l.calls.Close()
	l.Cancel(errShutdown)
	l.leftovers.Remove()
	l.EndSend()
	var ending sync.WaitGroup
	ending.Go(func() { _ = l.router.Close(ErrClosed) })
	ending.Go(func() { bootstrap.KillDescendants(context.Background(), lossGrace) })
	l.calls.Wait(lossGrace)
	ending.Wait()
}

// close ends the local context: in the master the whole tree.
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

// callGrace is how long Close waits for calls that run here and were
// cancelled. A function that does not heed its ctx is left behind.
const callGrace = time.Second
