package contexts

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/bootstrap/image"
	"github.com/mitosis-go/mitosis/contexts/internal/images"
	"github.com/mitosis-go/mitosis/contexts/internal/logs"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// initialized is set by Init. Then copies of this program stop in Init and do not run the
// rest of main.
var initialized atomic.Bool

// Init lets the program start copies of itself. It must be the first statement of main, and
// of TestMain if tests start contexts. In the program that the user started it returns at
// once. In a child it serves the parent and never returns: there only package variables and
// init functions have run before.
func Init() {
	freeze()
	initialized.Store(true)
	if len(os.Args) == 2 && os.Args[1] == image.FingerprintArg {
		fmt.Printf("%x\n", functions.fingerprint)
		os.Exit(0)
	}
	if bootstrap.IsChild() {
		bootstrap.Exit(serveChild())
	}
}

// Start makes this process the master of a new tree and returns its node. Close of the node
// ends the tree. If the process dies without Close, the tree ends as well. A process may
// start several trees, which know nothing of each other.
func Start(ctx context.Context, cfg *Config) (*Node, error) {
	if !initialized.Load() {
		return nil, &Error{Op: "start", Err: ErrNotInitialized}
	}
	if err := ctx.Err(); err != nil {
		return nil, &Error{Op: "start", Err: context.Cause(ctx)}
	}
	c := cfg.withDefaults()
	at := place{
		id: core.Master, tree: uuid.New(), depth: c.MaxDepth, allowSiblings: c.AllowSiblings,
		// The master hands out every ID there is. A billion is enough for
		// any tree and keeps the numbers in frames short.
		block: core.Block{First: core.Master + 1, N: 1 << 30},
	}
	l := newLocal(at, c)
	l.images.AdviseOnce()
	return l.selfNode, nil
}

// serveChild serves the parent of a child until the end. It returns the exit status.
func serveChild() int {
	child, err := bootstrap.Accept(functions.fingerprint)
	if err != nil {
		// There is no parent, or it is another program. Only standard error is left.
		fmt.Fprintf(os.Stderr, "mitosis: %v\n", err)
		return 1
	}
	w := child.Welcome
	var x extra
	if err := core.Unmarshal(w.Extra, &x); err != nil {
		fmt.Fprintf(child.Stderr, "mitosis: the parent's welcome cannot be read: %v\n", err)
		return 1
	}
	cfg := Config{
		LogLevel: slog.Level(x.LogLevel), ConnectTimeout: x.ConnectTimeout, CloseTimeout: x.CloseTimeout,
		MaxDepth: w.Depth, MaxChildren: x.MaxChildren, NoDisk: x.NoDisk, StartMethods: x.StartMethods, Cache: x.Cache,
		AllowSiblings: w.AllowSiblings,
		Limits:        router.Limits{Heartbeat: x.Heartbeat, Missed: x.Missed},
	}
	records := logs.NewSender(cfg.LogLevel)
	cfg.Log = slog.New(records.Handler())
	slog.SetDefault(cfg.Log)
	at := place{
		id: w.ID, tree: w.Tree, path: w.Path, ancestors: w.Ancestors,
		block: w.Block, depth: w.Depth, allowSiblings: w.AllowSiblings,
		maxContexts: x.MaxContexts, budget: x.Budget,
		up: &upward{records: records, output: logs.ForwardOutput(child.Output, records), prompt: x.Prompt, notify: x.Notify},
	}
	l := newLocal(at, cfg.withDefaults())
	if x.Keep {
		l.Keep(func() { images.KeepOwn(l.log) }) // before anybody can ask for the end
	}
	link, err := l.router.Attach(context.Background(), router.LinkConfig{
		Peer: w.Ancestors[0], Parent: true, Carrier: child.Link,
	})
	if err != nil {
		return 1
	}
	l.Tasks.Go(l.sendRecords) // records from before the link wait in the queue of the sender
	for link != nil {
		select {
		case <-l.Lost():
		case <-link.Done():
		}
		link = l.succeed(link.Err())
	}
	// The guard kills this process two seconds after the loss of the parent. This watchdog
	// ends it before that, and needs no lock that user code may hold.
	time.AfterFunc(1500*time.Millisecond, func() { bootstrap.Exit(1) })
	l.abandon()
	return 0
}
