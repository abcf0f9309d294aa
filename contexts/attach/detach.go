package attach

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/internal/succession"
	"github.com/mitosis-go/mitosis/core"
)

// Terms say how a context is detached. The zero value is a good choice.
type Terms struct {
	// Lease is the time for which the context goes on without a master, at least
	// 100 ms. Default: an hour.
	Lease time.Duration
}

const (
	defaultLease = time.Hour
	minLease     = 100 * time.Millisecond
)

// Detached has the data that a later master needs to find a context, and to be
// accepted. They give all the rights of a master: keep them where nobody else can read
// them. It is plain data for encoding/json and the like.
type Detached struct {
	Socket   string // on which it waits: a name in the network namespace of its host
	Tree     [16]byte
	Secret   Secret
	Path     string // from the master that it had
	Hostname string
	PID      int
	Lease    time.Duration
}

// LogValue keeps the secret out of logs, whatever their form.
func (d Detached) LogValue() slog.Value {
	return slog.GroupValue(slog.String("path", d.Path), slog.String("host", d.Hostname), slog.Int("pid", d.PID))
}

// Detach takes the master off a context, which goes on without one, with everything
// below it. n must be one hop from the local node, and that must be a master, which may
// be one made by [Attach]. Calls to the context and to those below it are cancelled.
// When Detach returns, n is gone with an error that matches [ErrDetached], and the
// context waits for its next master.
//
// The error matches [errors.ErrUnsupported] where the context could not go on: its hop
// is not one of those that the package comment names, it is not on Linux, or it is on
// the same host as a context above it. Then nothing has changed.
func Detach(ctx context.Context, n *contexts.Node, terms Terms) (Detached, error) {
	d, err := detach(ctx, n, terms)
	if err != nil {
		return Detached{}, &contexts.Error{Op: "detach", Path: n.String(), Err: err}
	}
	return d, nil
}

func detach(ctx context.Context, n *contexts.Node, terms Terms) (Detached, error) {
	self := n.Local()
	q := keepRequest{Secret: newRandom(), Lease: terms.Lease}
	if q.Lease == 0 {
		q.Lease = defaultLease
	}
	switch {
	case self == nil || self.ID() != core.Master || n.ID() == self.ID():
		return Detached{}, fmt.Errorf("%w: only a master can detach, and only a context one hop from it", contexts.ErrRefused)
	case q.Lease < minLease:
		return Detached{}, fmt.Errorf("%w: a lease of %v, less than %v", os.ErrInvalid, q.Lease, minLease)
	}
	if err := trees.Releasable(n); err != nil {
		return Detached{}, err
	}
	k, err := keepFunc.Call(ctx, n, q)
	if err != nil {
		if e, ok := err.(*contexts.Error); ok && e.Err != nil {
			err = e.Err
		}
		return Detached{}, err
	}
	trees.Release(n, ErrDetached)
	return Detached{
		Socket: k.Socket, Tree: k.Tree, Secret: q.Secret,
		Path: n.String(), Hostname: k.Hostname, PID: k.PID, Lease: q.Lease,
	}, nil
}

// Attach makes this process the master of a detached context, and returns its node.
// host is a context on the same host and of the same user, or the local node if that is
// on the same host. The connection goes through host as long as it is used. cfg is for
// the tree of the context, which is another than that of host. That tree ends with the
// node, and when its local node is closed.
//
// The error matches [ErrSecret]; [ErrOwned] where the context has a master;
// syscall.ECONNREFUSED where it has ended; bootstrap.ErrFingerprint where this is
// another program.
func Attach(ctx context.Context, host *contexts.Node, d Detached, cfg *contexts.Config) (*contexts.Node, error) {
	n, err := attach(ctx, host, d, cfg)
	if err != nil {
		return nil, &contexts.Error{Op: "attach", Path: d.Path, Err: err}
	}
	// The tree of a context that is gone is of no use. This ends with the context, at the
	// latest when the caller closes the tree.
	go func() {
		<-n.Done()
		_ = n.Local().Close()
	}()
	return n, nil
}

func attach(ctx context.Context, host *contexts.Node, d Detached, cfg *contexts.Config) (*contexts.Node, error) {
	if err := initialized(); err != nil {
		return nil, err
	}
	c, err := host.DialContext(ctx, "unix", d.Socket)
	if err != nil {
		return nil, err
	}
	var e handover
	t, err := converse(ctx, c, func(t *talk) error { return e.claim(t, d) })
	if err != nil {
		return nil, err
	}
	conn := t.finish()
	tree := succession.Tree{ID: e.Tree, Root: e.ID, Path: e.Path, Age: e.Age}
	s := &bootstrap.Session{Hello: e.Hello, StartMethod: "attached", Link: conn}
	n, err := trees.TakeOver(ctx, cfg, tree, s, conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return n, nil
}

// claim runs the talk of a process that wants to be the master.
func (e *handover) claim(t *talk, d Detached) error {
	// The context learns nothing of this process before it has proved that it is the one.
	hello := bootstrap.Hello{Version: bootstrap.Version, Fingerprint: trees.Fingerprint()}
	if err := t.say(knock{Version: version, Purpose: toOwn, Hello: hello}); err != nil {
		return heard(t, err)
	}
	var c challenge
	if err := t.hear(&c); err != nil {
		return err
	}
	p := proofs{secret: d.Secret, context: c.Nonce, master: newRandom(), tree: d.Tree, fingerprint: hello.Fingerprint}
	if err := t.say(proof{Nonce: p.master, Sum: p.by(masterSide)}); err != nil {
		return heard(t, err)
	}
	if err := t.hear(e); err != nil {
		return err
	}
	if e.Tree != d.Tree || e.ID == core.Master {
		return fmt.Errorf("%w: it is another context", ErrSecret)
	}
	return p.check(contextSide, e.Sum)
}
