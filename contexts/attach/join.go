package attach

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/internal/usersocket"
)

// Member is this process as a guest in the tree of another.
type Member struct{ self *contexts.Node }

// Join joins the tree of the process that listens at path. cfg is the configuration of
// this process in that tree; nil is a good choice. ctx bounds the joining only.
//
// The error matches [ErrOtherUser] where the listener is another user's;
// syscall.ECONNREFUSED or fs.ErrNotExist where there is none; fs.ErrPermission where
// its directory is closed to us; [contexts.ErrBusy] where Config.MaxPeers processes
// have joined; and bootstrap.ErrFingerprint where it is another program, or one built
// from other sources.
func Join(ctx context.Context, path string, cfg *contexts.Config) (*Member, error) {
	self, err := join(ctx, path, cfg)
	if err != nil {
		return nil, &contexts.Error{Op: "join", Path: path, Err: err}
	}
	return &Member{self}, nil
}

func join(ctx context.Context, path string, cfg *contexts.Config) (*contexts.Node, error) {
	if err := initialized(); err != nil {
		return nil, err
	}
	c, err := usersocket.Dial(ctx, path)
	if err != nil {
		return nil, err
	}
	return joinBy(ctx, c, cfg)
}

// JoinBy joins the tree of the process at the other end of a connection, which hands it to
// [Listener.Admit]. Both have made sure whose process the other one is. The connection belongs to
// the tree from then on, and is closed on failure.
func JoinBy(ctx context.Context, c net.Conn, cfg *contexts.Config) (*Member, error) {
	err := initialized()
	var self *contexts.Node
	if err == nil {
		self, err = joinBy(ctx, c, cfg)
	} else {
		_ = c.Close()
	}
	if err != nil {
		return nil, &contexts.Error{Op: "join", Path: c.RemoteAddr().String(), Err: err}
	}
	return &Member{self}, nil
}

func joinBy(ctx context.Context, c net.Conn, cfg *contexts.Config) (*contexts.Node, error) {
	var w bootstrap.Welcome
	t, err := converse(ctx, c, func(t *talk) error {
		k := knock{Version: version, Purpose: toJoin, Hello: bootstrap.NewHello(trees.Fingerprint())}
		if err := t.say(k); err != nil {
			return heard(t, err)
		}
		return t.hear(&w)
	})
	if err != nil {
		return nil, err
	}
	return trees.Enter(w, t.finish(), cfg)
}

func initialized() error {
	if trees.Fingerprint() == [32]byte{} {
		return contexts.ErrNotInitialized
	}
	return nil
}

// heard returns the failure that the other side has sent before it closed the
// connection, or else failed, the error of writing to it.
func heard(t *talk, failed error) error {
	if err := t.hear(new(struct{})); err != nil {
		return fmt.Errorf("%w (%w)", err, failed)
	}
	return failed
}

// converse runs a talk until it has ended, or ctx has. It closes c on failure.
func converse(ctx context.Context, c net.Conn, f func(*talk) error) (*talk, error) {
	t := newTalk(c)
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	err := f(t)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return t, nil
}

// Local returns the node of this process in the tree.
func (m *Member) Local() *contexts.Node { return m.self }

// Listener returns the node of the process that was joined.
func (m *Member) Listener() *contexts.Node { return m.self.Parent() }

// Tree describes the listener and all contexts below it, as the listener sees them.
// Info.Node is nil for contexts that this process may not use. It may use a context
// that was started later once that has been listed.
func (m *Member) Tree(ctx context.Context) ([]contexts.Info, error) {
	return treeFunc.Call(ctx, m.Listener(), struct{}{})
}

// Close leaves the tree. Everything that this process runs there ends.
func (m *Member) Close() error { return m.self.Close() }
