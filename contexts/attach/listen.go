package attach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/internal/usersocket"
)

// Peer is a process that wants to join, as the kernel describes it.
type Peer = usersocket.Peer

// Config says which processes may join, and what they may do. The zero value, and nil,
// let processes of the user list the tree, and call the functions of the listener that
// were registered with AllowDescendants.
type Config struct {
	// Grant reports whether a process that has joined may use a context below the
	// listener, as an ancestor of the context could. It is called for each context
	// whenever the process lists the tree, by several goroutines. Yes can't be taken
	// back, and it includes all contexts below that one. Grant is not called for
	// other processes that have joined: no process may use those.
	Grant func(p Peer, n *contexts.Node) bool
	// MaxPeers is how many processes may have joined at a time. Default: 64.
	MaxPeers int
}

const defaultMaxPeers = 64

// maxTalks bounds the connections that have not joined yet.
const maxTalks = 16

// Listener lets processes join the tree of a node.
//
// Goroutines, all ended when Close returns: accept takes connections, if there is a socket; serve talks on
// each, and then waits for the end of the process's membership; one more ends the
// others when the tree ends.
type Listener struct {
	// Immutable.
	self   *contexts.Node
	cfg    Config
	socket *socket
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	talks  chan struct{} // capacity maxTalks; holds a value for each talk

	work     sync.WaitGroup // all goroutines
	stopOnce sync.Once
	stopErr  error // set by stopOnce

	mu    sync.Mutex
	peers int // guarded by mu
}

// Listen lets processes of the same user and the same program join the tree below
// self, the local node, by a unix socket. It makes the socket's directory with mode
// 0700 if that is missing; a directory that other users can read or write is
// [ErrExposed]. With an empty path the socket is in a new directory for temporary
// files: see [Listener.Path]. A socket that a dead process has left is replaced; where
// a process listens the error matches syscall.EADDRINUSE.
//
// Close the listener before the tree. A process that is killed leaves the socket
// and its directory behind.
func Listen(self *contexts.Node, path string, cfg *Config) (*Listener, error) {
	fail := func(err error) (*Listener, error) {
		return nil, &contexts.Error{Op: "listen for processes that join", Path: self.String(), Err: err}
	}
	if self == nil || self.Local() != self {
		return fail(fmt.Errorf("%w: a context listens at its own host", contexts.ErrRefused))
	}
	s, err := bind(path)
	if err != nil {
		return fail(err)
	}
	l := newListener(self, s, cfg)
	l.work.Go(l.accept)
	return l, nil
}

// NewListener returns a listener without a socket. Processes join by [Listener.Admit]. self is the
// local node.
func NewListener(self *contexts.Node, cfg *Config) *Listener { return newListener(self, nil, cfg) }

func newListener(self *contexts.Node, s *socket, cfg *Config) *Listener {
	l := &Listener{self: self, socket: s, talks: make(chan struct{}, maxTalks)}
	if cfg != nil {
		l.cfg = *cfg
	}
	if l.cfg.MaxPeers <= 0 {
		l.cfg.MaxPeers = defaultMaxPeers
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.work.Go(func() {
		select {
		case <-self.Done():
			l.stop()
		case <-l.ctx.Done():
		}
	})
	return l
}

// Path returns the path of the socket, "" if there is none.
func (l *Listener) Path() string {
	if l.socket == nil {
		return ""
	}
	return l.socket.path
}

// Admit lets a process join by a connection that the caller has accepted, and returns when the
// process has left. The caller has made sure that the process is one of the user: peer says which.
// The process calls [JoinBy]. Admit closes the connection.
func (l *Listener) Admit(c net.Conn, peer Peer) {
	l.mu.Lock()
	ended := l.ctx.Err() != nil
	if !ended {
		l.work.Add(1) // before Close waits
	}
	l.mu.Unlock()
	if ended {
		_ = c.Close()
		return
	}
	defer l.work.Done()
	select {
	case l.talks <- struct{}{}:
	case <-l.ctx.Done():
		_ = c.Close()
		return
	}
	l.serve(c, func(net.Conn) (Peer, error) { return peer, nil })
}

// Close ends the listening, ends the membership of all processes that have joined, and
// removes the socket.
func (l *Listener) Close() error {
	l.stop()
	l.work.Wait()
	return l.stopErr
}

// stop ends all goroutines of the listener, and does not wait for them.
func (l *Listener) stop() {
	l.stopOnce.Do(func() {
		l.mu.Lock()
		l.cancel()
		l.mu.Unlock()
		if l.socket != nil {
			l.stopErr = l.socket.Close()
		}
	})
}

func (l *Listener) accept() {
	for {
		c, err := l.socket.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			// Most probably there are too many open files. Some may be closed soon.
			select {
			case <-time.After(100 * time.Millisecond):
			case <-l.ctx.Done():
			}
			continue
		}
		select {
		case l.talks <- struct{}{}:
			l.work.Go(func() { l.serve(c, usersocket.CheckPeer) })
		default:
			_ = c.Close() // all connections are the user's own: none is more important
		}
	}
}

// serve lets the process at the other end of a connection join, and waits for its end.
func (l *Listener) serve(c net.Conn, check func(net.Conn) (Peer, error)) {
	stop := context.AfterFunc(l.ctx, func() { _ = c.SetDeadline(time.Now()) })
	t := newTalk(c)
	n, err := l.welcome(t, check)
	stop()
	<-l.talks
	if err != nil {
		t.refuse(err)
		_ = c.Close()
		return
	}
	select {
	case <-n.Done():
	case <-l.ctx.Done():
		_ = n.Close()
	}
	guests.remove(l.self, n.ID())
	l.leave()
}

// welcome gives a process its place in the tree.
func (l *Listener) welcome(t *talk, check func(net.Conn) (Peer, error)) (*contexts.Node, error) {
	peer, err := check(t.conn)
	if err != nil {
		return nil, err
	}
	var k knock
	if err := t.hear(&k); err != nil {
		return nil, err
	}
	if err := k.check(toJoin); err != nil {
		return nil, err
	}
	if err := l.enter(); err != nil {
		return nil, err
	}
	guests.coming.RLock()
	defer guests.coming.RUnlock()
	conn := t.finish()
	k.Hello.UID = peer.UID // of the kernel, as the process may say anything
	if peer.PID != 0 {
		k.Hello.Pid = peer.PID
	}
	s := &bootstrap.Session{Hello: k.Hello, StartMethod: "attached", Link: conn}
	n, err := trees.Adopt(l.ctx, l.self, fmt.Sprintf("attached:%d", k.Hello.Pid), s, conn)
	if err != nil {
		l.leave()
		return nil, err
	}
	guests.add(l.self, n.ID(), &guest{l, peer})
	return n, nil
}

// check returns an error for a process that speaks another version, wants something
// else than this socket is for, or is another program.
func (k *knock) check(purpose uint8) error {
	if k.Version != version || k.Purpose != purpose {
		return fmt.Errorf("%w: it wants %d in version %d where %d is to be had in version %d", contexts.ErrRefused, k.Purpose, k.Version, purpose, version)
	}
	return k.Hello.Check(trees.Fingerprint())
}

// enter counts a process that joins.
func (l *Listener) enter() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peers >= l.cfg.MaxPeers {
		return fmt.Errorf("%w: %d processes have joined, as many as Config.MaxPeers allows", contexts.ErrBusy, l.peers)
	}
	l.peers++
	return nil
}

func (l *Listener) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peers--
}

// guest is a process that has joined.
type guest struct {
	l    *Listener
	peer Peer
}

// guests are the processes that have joined, in all trees of this process.
var guests guestList

type guestList struct {
	// coming is held for reading from the time before a guest can call anything until
	// it is in the list.
	coming sync.RWMutex

	mu  sync.Mutex
	all map[guestKey]*guest // guarded by mu
}

type guestKey struct {
	self *contexts.Node
	id   core.ID
}

func (g *guestList) add(self *contexts.Node, id core.ID, one *guest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all == nil {
		g.all = make(map[guestKey]*guest)
	}
	g.all[guestKey{self, id}] = one
}

func (g *guestList) remove(self *contexts.Node, id core.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.all, guestKey{self, id})
}

// find returns the guest with this context; nil if there is none.
func (g *guestList) find(self *contexts.Node, id core.ID) *guest {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all[guestKey{self, id}]
}

// of returns the guest that a call comes from; nil if there is none. A guest may call
// before it is in the list: then of waits.
func (g *guestList) of(ctx context.Context) *guest {
	self, id := contexts.Self(ctx), contexts.Caller(ctx).ID()
	if one := g.find(self, id); one != nil {
		return one
	}
	g.coming.Lock()
	defer g.coming.Unlock()
	return g.find(self, id)
}

// figuresTime bounds the wait for the figures of links in a list.
const figuresTime = 2 * time.Second

// treeFunc lists the tree for a guest. The guest may use each node in the answer: see
// contexts.Node.
var treeFunc = contexts.NewFunc("mitosis.attach.tree", func(ctx context.Context, _ struct{}) ([]contexts.Info, error) {
	g, self, caller := guests.of(ctx), contexts.Self(ctx), contexts.Caller(ctx)
	if g == nil {
		return nil, contexts.ErrRefused
	}
	ctx, cancel := context.WithTimeout(ctx, figuresTime)
	defer cancel()
	tree, err := self.Tree(ctx)
	for i := range tree {
		n := tree[i].Node
		other := guests.find(self, n.ID()) != nil && n.ID() != caller.ID()
		own := n.ID() == self.ID() || n.ID() == caller.ID()
		if other || !own && (g.l.cfg.Grant == nil || !g.l.cfg.Grant(g.peer, n)) {
			tree[i].Node = nil
		}
	}
	return tree, err
}, contexts.AllowDescendants)
