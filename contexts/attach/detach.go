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
	// Lease is how long the context goes on without a master. Default: an hour.
	// At least 100 ms.
	Lease time.Duration
}

const (
	defaultLease = time.Hour
	minLease     = 100 * time.Millisecond
)

// Detached is what a later master needs to find a context, and to be accepted. Who
// has it can do all that the master could: keep it where nobody else can read it. It
// is plain data for encoding/json and the like.
type Detached struct {
	Socket   string // where it waits: a name in the network namespace of its host
	Tree     [16]byte
	Secret   Secret
	Path     string // its path of hops from the master that it had
	Hostname string
	PID      int
	Lease    time.Duration
}

// LogValue keeps the secret out of logs, whatever their form.
func (d Detached) LogValue() slog.Value {
	return slog.GroupValue(slog.String("path", d.Path), slog.String("host", d.Hostname), slog.Int("pid", d.PID))
}

// Detach lets go of a context, which goes on without a master with everything that
// is below it. n must be one hop from the local node, which must be a master, one
// made by [Attach] included. Calls to the context and to those below it are
// cancelled. When Detach returns, n is gone with an error that matches
// [ErrDetached], and the context waits for its next master.
//
// The error matches [errors.ErrUnsupported] where the context could not go on:
// its hop is not one of those named in the package comment, it is not on Linux, or it
// is on one host with another context that it is below; nothing has changed then.
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
// host is a context on the same host and of the same user, or the local node where
// that is there; the connection goes through it for as long as it is used. cfg
// is for the tree of the context, which is apart from that of host and ends with the
// node, at the latest when Self of the node is closed.
//
// The error matches [ErrSecret]; [ErrOwned] where there is a master;
// syscall.ECONNREFUSED where the context has ended; bootstrap.ErrFingerprint where
// this is another program.
func Attach(ctx context.Context, host *contexts.Node, d Detached, cfg *contexts.Config) (*contexts.Node, error) {
	n, err := attach(ctx, host, d, cfg)
	if err != nil {
		return nil, &contexts.Error{Op: "attach", Path: d.Path, Err: err}
	}
	// Nothing but the context is in that tree.
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
	var e estate
	t, err := converse(ctx, c, func(t *talk) error { return e.claim(t, d) })
	if err != nil {
		return nil, err
	}
	conn := t.link()
	tree := succession.Tree{ID: e.Tree, Root: e.ID, Path: e.Path, Age: e.Age}
	s := &bootstrap.Session{Hello: e.Hello, StartMethod: "attached", Link: conn}
	n, err := trees.TakeOver(ctx, cfg, tree, s, conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return n, nil
}

// claim is the master's part of the talk.
func (e *estate) claim(t *talk, d Detached) error {
	// Nothing of this process is told before the context has proved what it is.
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
