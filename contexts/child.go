package contexts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts/internal/tree"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// childInfo describes a new context to all of its ancestors. The parent writes it, not
// the child itself. It is for people only: nothing is decided by it.
type childInfo struct {
	Label       string    `cbor:"1,keyasint"`
	Hostname    string    `cbor:"2,keyasint,omitempty"`
	User        string    `cbor:"3,keyasint,omitempty"`
	UID         int       `cbor:"4,keyasint,omitempty"`
	PID         int       `cbor:"5,keyasint,omitempty"`
	GOOS        string    `cbor:"6,keyasint,omitempty"`
	GOARCH      string    `cbor:"7,keyasint,omitempty"`
	StartMethod string    `cbor:"8,keyasint,omitempty"`
	Since       time.Time `cbor:"9,keyasint,omitempty"`
}

func formatID(id core.ID) string { return strconv.FormatUint(uint64(id), 10) }

// maxLabel bounds an element of a path, in bytes: a hostile context chooses the labels of
// its own descendants.
const maxLabel = 256

// joinPath returns the path of a child. A slash in the label would look like another hop,
// and a control character could paint over a terminal.
func joinPath(parent *Node, label string) string {
	label = strings.Map(func(r rune) rune {
		if r == '/' || r < ' ' || r == 0x7f || r == '�' {
			return '_'
		}
		return r
	}, label)
	if len(label) > maxLabel {
		label = label[:maxLabel]
	}
	if parent == nil || parent.path == "" {
		return label
	}
	return parent.path + "/" + label
}

// extra is the part of a welcome that only this package reads.
type extra struct {
	LogLevel       int           `cbor:"1,keyasint,omitempty"`
	ConnectTimeout time.Duration `cbor:"2,keyasint"`
	CloseTimeout   time.Duration `cbor:"3,keyasint"`
	MaxChildren    int           `cbor:"4,keyasint"`
	NoDisk         bool          `cbor:"5,keyasint,omitempty"`
	StartMethods   []string      `cbor:"6,keyasint,omitempty"`
	Prompt         bool          `cbor:"7,keyasint,omitempty"` // the person at the master can be asked
	Heartbeat      time.Duration `cbor:"8,keyasint,omitempty"`
	Missed         int           `cbor:"9,keyasint,omitempty"`
	MaxContexts    int           `cbor:"10,keyasint,omitempty"` // below the child; 0: no bound of its own
	Budget         core.ID       `cbor:"11,keyasint,omitempty"` // see place.budget
	Cache          bool          `cbor:"12,keyasint,omitempty"`
	Keep           bool          `cbor:"13,keyasint,omitempty"` // the child's image belongs in the cache
	Notify         bool          `cbor:"14,keyasint,omitempty"` // the person at the master can be shown notices
}

// reserve takes a place for one more child, which children.Release gives back.
func (l *local) reserve() error {
	switch {
	case l.Ctx.Err() != nil:
		return ErrClosed
	case l.depth <= 0:
		return fmt.Errorf("%w: the path has as many hops as Config.MaxDepth allows", ErrTooDeep)
	case !l.children.Reserve(l.cfg.MaxChildren):
		return fmt.Errorf("%w: %d children, as many as Config.MaxChildren allows", ErrTooDeep, l.cfg.MaxChildren)
	}
	return nil
}

// connect starts a child of this context.
func (l *local) connect(ctx context.Context, m connect.Method, b bounds) (*Node, error) {
	label := m.Label()
	path := joinPath(l.selfNode, label)
	if err := l.reserve(); err != nil {
		return nil, &Error{Op: "connect", Path: path, Kind: core.KindConnect, Err: err}
	}
	defer l.children.Release()
	ctx, cancel := l.connectContext(ctx, m, b)
	defer cancel()
	release, err := l.takeContext(ctx)
	if err != nil {
		return nil, &Error{Op: "connect", Path: path, Kind: core.KindConnect, Err: err}
	}
	defer release()
	n, err := l.divide(ctx, m, label, path, b)
	if err != nil {
		dropHopName(err, m)
		return nil, &Error{Op: "connect", Path: path, Kind: core.KindConnect, Err: withCause(ctx, err)}
	}
	l.log.Debug("connected", "hop", path)
	return n, nil
}

// dropHopName takes the name of a hop off its error. The path that is put in front of the
// error ends with it.
func dropHopName(err error, m connect.Method) {
	if e, ok := errors.AsType[*connect.Error](err); ok && e.Hop == m.Label() {
		e.Hop = ""
	}
}

// connectContext returns a context for a connect. It is bounded as by bounded, and ends
// with this context.
func (l *local) connectContext(ctx context.Context, m connect.Method, b bounds) (context.Context, context.CancelFunc) {
	ctx, _, stopped := l.bounded(ctx, m, b)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(l.Ctx, func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
		stopped()
	}
}

// bounded returns a context for a connect, with its progress: see tree.WithProgress. A ctx
// that has one already is returned as it is. If ctx has no deadline and b no bound,
// Config.ConnectTimeout is the bound.
func (l *local) bounded(ctx context.Context, m connect.Method, b bounds) (context.Context, *tree.Progress, context.CancelFunc) {
	if p := tree.ProgressOf(ctx); p != nil {
		return ctx, p, func() {}
	}
	limit := b.Silence
	if _, ok := ctx.Deadline(); !ok && limit <= 0 {
		limit = l.cfg.ConnectTimeout + m.Traits().ImageTime
	}
	return tree.WithProgress(ctx, limit)
}

// openCarrier lets a method open its pipe, with the first stage at the other end. If the
// far side is on this host, it may execute the file of this program. If it is known from
// an earlier connect, the image is sent before it has spoken. A probe does neither.
func (l *local) openCarrier(ctx context.Context, m connect.Method, path string, probe bool) (*bootstrap.Launch, bootstrap.Carrier, error) {
	options := bootstrap.Options{
		NoDisk: l.cfg.NoDisk, StartMethods: l.cfg.StartMethods, Images: l.images.Image, Static: l.images.Static, Cache: l.cfg.Cache, Probe: probe,
		Fingerprint: functions.fingerprint, Log: l.log.With("hop", path), Label: path,
	}
	traits := m.Traits()
	options.Near, options.Pace, options.Slow = traits.Local, traits.Remote, traits.ImageTime > 0
	options.Same = traits.Local && tree.SharesImage(traits.User)
	options.Likely, options.Packed = l.farSides.Likely(), l.packed
	if known := l.farSides.Get(m.Label()); known != nil && !probe {
		options.Known = &known.Facts
		if traits.Remote {
			options.Early = known.Method
		}
	}
	p := tree.ProgressOf(ctx)
	p.Here(options.Log, m)
	options.Progress = p.Note
	launch := bootstrap.NewLaunch(options)
	env := &connect.OpenRequest{
		CommandLine: launch.Line(), Argv: launch.Argv(), Ready: launch.Ready(), Log: options.Log, Early: launch.Early(),
		Prompt: p.Asking(l.prompter(ctx, path)), Notify: l.notifier(ctx, path), Dial: new(net.Dialer).DialContext,
		Phase: func(phase string) { p.Note(bootstrap.Progress{Phase: bootstrap.Phase(phase)}) },
	}
	if env.Exec, env.ExecArgv = launch.Exec(); probe {
		env.Exec, env.ExecArgv = "/bin/sh", env.Argv
	}
	env.Where = l.selfNode.path
	carrier, err := m.Open(ctx, env)
	if err != nil {
		launch.Abandon()
	}
	return launch, carrier, err
}

// divide starts a child. The method opens a pipe. The launch starts the image behind it
// and reads the child's hello. The child is given its place in the tree, and the router
// takes over the pipe.
func (l *local) divide(ctx context.Context, m connect.Method, label, path string, b bounds) (*Node, error) {
	launch, carrier, err := l.openCarrier(ctx, m, path, false)
	if err != nil {
		return nil, err
	}
	session, err := launch.Run(ctx, carrier) // closes the carrier on failure
	l.farSides.Note(label, session)
	if err != nil {
		return nil, err
	}
	l.improve(session)
	n, err := l.adopt(ctx, label, b, session, carrier)
	if err != nil {
		_ = carrier.Close()
		return nil, err
	}
	return n, nil
}

// adopt gives a child its place in the tree.
func (l *local) adopt(ctx context.Context, label string, b bounds, session *bootstrap.Session, carrier bootstrap.Carrier) (_ *Node, err error) {
	name := l.children.TakeName(label)
	defer func() {
		if err != nil {
			l.children.DropName(name)
		}
	}()
	id, block, err := l.router.AllocID(ctx)
	if err != nil {
		return nil, err
	}
	x, err := core.Marshal(extra{
		LogLevel: int(l.level.Level()), ConnectTimeout: l.cfg.ConnectTimeout, CloseTimeout: l.cfg.CloseTimeout,
		MaxChildren: l.cfg.MaxChildren, NoDisk: l.cfg.NoDisk, StartMethods: l.cfg.StartMethods, Prompt: l.cfg.Prompt != nil, Notify: l.cfg.Notify != nil,
		Heartbeat: l.cfg.Limits.Heartbeat, Missed: l.cfg.Limits.Missed,
		MaxContexts: b.Contexts, Budget: l.budgetOfChildren(),
		Cache: l.cfg.Cache, Keep: session.Sought && session.Hello.ImageHash != [32]byte{},
	})
	if err != nil {
		return nil, err
	}
	path := joinPath(l.selfNode, name)
	err = session.Welcome(bootstrap.Welcome{
		Tree: l.tree, ID: id, Ancestors: l.ancestorsOfChild(), Path: path, Block: block,
		Depth: b.depth(l.depth - 1), AllowSiblings: l.cfg.AllowSiblings, Extra: x,
	})
	if err != nil {
		return nil, err
	}
	return l.attachChild(ctx, l.addNode(id, l.id, path), name, core.Block{}, session, carrier)
}

// attachChild makes the session's pipe the link to a child, whose node is n. known has the
// IDs of contexts below a child that was another master's before; else it is empty.
func (l *local) attachChild(ctx context.Context, n *Node, name string, known core.Block, session *bootstrap.Session, carrier bootstrap.Carrier) (*Node, error) {
	h := session.Hello
	info, err := core.Marshal(childInfo{
		Label: name, Hostname: h.Hostname, User: h.User, UID: h.UID, PID: h.Pid,
		GOOS: h.GOOS, GOARCH: h.GOARCH, StartMethod: session.StartMethod, Since: time.Now(),
	})
	var link *router.Link
	if err == nil {
		carried := newCarrierLink(session.Link, carrier)
		link, err = l.router.Attach(ctx, router.LinkConfig{Peer: n.id, Carrier: carried, Info: info, Known: known})
	}
	if err != nil {
		l.nodeLost(n.id, err)
		return nil, err
	}
	c := &tree.Child{ID: n.id, Name: name, Link: link, Carrier: carrier}
	l.children.Add(c)
	l.Tasks.Go(func() {
		<-link.Done()
		l.children.Remove(n.id)
		_ = carrier.Close()
	})
	return n, nil
}

// carrierLink reads and writes the link. Its Close also closes the carrier.
type carrierLink struct {
	io.ReadWriteCloser
	carrier bootstrap.Carrier
}

// tryCarrierLink is a carrierLink whose carrier can write without waiting.
type tryCarrierLink struct {
	carrierLink
	router.TryWriter
}

func newCarrierLink(link io.ReadWriteCloser, carrier bootstrap.Carrier) io.ReadWriteCloser {
	c := carrierLink{link, carrier}
	if w, ok := carrier.(router.TryWriter); ok {
		return tryCarrierLink{c, w}
	}
	return c
}

func (c carrierLink) Close() error { return errors.Join(c.ReadWriteCloser.Close(), c.carrier.Close()) }

// ancestorsOfChild returns the ancestors of a child, the nearest first.
func (l *local) ancestorsOfChild() []core.ID {
	return append([]core.ID{l.id}, l.ancestors...)
}
