package attach

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/internal/usersocket"
)

// guardSlack is the time by which the guard waits longer than the context itself, which
// ends things in better order.
const guardSlack = 2 * time.Second

// lessee lets the context of this process go on without its master for the time of a
// lease, and finds the next master.
//
// Goroutines: accept takes connections, and renew renews the guard's lease while there
// is a master. Both end when the lease is over, or with the process. Each of at most
// maxTalks connections has one for talkTime.
type lessee struct {
	// Immutable.
	self   *contexts.Node
	socket string
	ln     net.Listener
	tree   [16]byte
	talks  chan struct{}  // capacity maxTalks; holds a value for each talk
	master chan *peerConn // capacity 1; the talk that has claimed sends, await receives
	again  chan struct{}  // capacity 1; lookAgain sends, renew receives

	mu      sync.Mutex
	secret  Secret        // guarded by mu
	lease   time.Duration // guarded by mu
	age     uint64        // guarded by mu: the number of masters before this one
	waiting bool          // guarded by mu: there is no master
	ended   bool          // guarded by mu: the lease is over
}

// keepRequest asks a context to go on when it has no master.
type keepRequest struct {
	Secret [32]byte
	Lease  time.Duration
}

type keepAnswer struct {
	Socket   string
	Tree     [16]byte
	Hostname string
	PID      int
}

// kept is this process's lessee; a process is one context.
var kept struct {
	mu sync.Mutex
	k  *lessee // guarded by mu
}

var keepFunc = contexts.NewFunc("mitosis.attach.keep", func(ctx context.Context, q keepRequest) (keepAnswer, error) {
	kept.mu.Lock()
	defer kept.mu.Unlock()
	if kept.k == nil {
		k, err := newLessee(contexts.Self(ctx), q)
		if err != nil {
			return keepAnswer{}, err
		}
		kept.k = k
	}
	k := kept.k
	k.mu.Lock()
	k.secret, k.lease = q.Secret, q.Lease
	bootstrap.ExtendLease(q.Lease + guardSlack)
	k.mu.Unlock()
	k.lookAgain()
	host, _ := os.Hostname()
	return keepAnswer{Socket: k.socket, Tree: k.tree, Hostname: host, PID: os.Getpid()}, nil
})

// newLessee makes the context of this process outlive its master.
//
// Its socket has a name in the kernel only (unix(7), "abstract"): nothing is on a
// disk, nothing is left however the context ends, and nothing cleans it away when
// the user logs out, as happens to directories in memory. Anybody on the host can
// connect; processes of other users are refused.
func newLessee(self *contexts.Node, q keepRequest) (*lessee, error) {
	tree, err := trees.Describe(self)
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("%w on %s", errors.ErrUnsupported, runtime.GOOS)
	}
	name := newRandom()
	socket := "@mitosis-" + hex.EncodeToString(name[:16])
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	if err := bootstrap.Lease(q.Lease + guardSlack); err != nil {
		_ = ln.Close()
		return nil, err
	}
	k := &lessee{self: self, socket: socket, ln: ln, tree: tree.ID, lease: q.Lease,
		talks: make(chan struct{}, maxTalks), master: make(chan *peerConn, 1),
		again: make(chan struct{}, 1)}
	trees.Survive(self, k.await)
	go k.accept()
	go k.renew()
	return k, nil
}

// await is called when the master is lost. It returns the connection to the next one,
// or an error when the lease is over.
func (k *lessee) await(ctx context.Context) (io.ReadWriteCloser, error) {
	k.mu.Lock()
	k.waiting = true
	lease := k.lease
	bootstrap.ExtendLease(lease + guardSlack)
	k.mu.Unlock()
	over := time.NewTimer(lease)
	defer over.Stop()
	reason := fmt.Errorf("no master came for %v", lease)
	select {
	case l := <-k.master:
		return l, nil
	case <-over.C:
	case <-ctx.Done():
		reason = context.Cause(ctx)
	}
	k.mu.Lock()
	k.ended = k.waiting
	k.mu.Unlock()
	if !k.ended {
		return <-k.master, nil // one has claimed the context in the meantime
	}
	_ = k.ln.Close() // which ends accept
	k.lookAgain()    // which ends renew
	return nil, reason
}

// claim makes the process at the other end of a talk the master, if there is none. The
// caller must send its connection to k.master.
func (k *lessee) claim() (age uint64, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.ended:
		return 0, contexts.ErrClosed
	case !k.waiting:
		return 0, ErrOwned
	}
	k.waiting = false
	k.age++
	bootstrap.ExtendLease(k.lease + guardSlack)
	return k.age, nil
}

// lookAgain makes renew look at the state again.
func (k *lessee) lookAgain() {
	select {
	case k.again <- struct{}{}:
	default:
	}
}

// renew extends the lease at the guard, again and again, while there is a master.
func (k *lessee) renew() {
	for {
		k.mu.Lock()
		if k.ended {
			k.mu.Unlock()
			return
		}
		pause := k.lease / 4
		if !k.waiting {
			bootstrap.ExtendLease(k.lease + guardSlack)
		}
		k.mu.Unlock()
		select {
		case <-time.After(pause):
		case <-k.again:
		}
	}
}

func (k *lessee) accept() {
	for {
		c, err := k.ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			time.Sleep(100 * time.Millisecond) // most probably there are too many open files
			continue
		}
		select {
		case k.talks <- struct{}{}:
			go func() {
				defer func() { <-k.talks }()
				k.serve(c)
			}()
		default:
			_ = c.Close()
		}
	}
}

// serve talks with a process that may become the next master.
func (k *lessee) serve(c net.Conn) {
	// This comes first: another user could otherwise take up all places for talks.
	if _, err := usersocket.CheckPeer(c); err != nil {
		newTalk(c).refuse(err)
		_ = c.Close()
		return
	}
	t := newTalk(c)
	if err := k.talk(t); err != nil {
		t.refuse(err)
		_ = c.Close()
	}
}

func (k *lessee) talk(t *talk) error {
	var first knock
	if err := t.hear(&first); err != nil {
		return err
	}
	if err := first.check(toOwn); err != nil {
		return err
	}
	p := proofs{context: newRandom(), tree: k.tree, fingerprint: trees.Fingerprint()}
	if err := t.say(challenge{Nonce: p.context}); err != nil {
		return err
	}
	var answer proof
	if err := t.hear(&answer); err != nil {
		return err
	}
	p.master = answer.Nonce
	k.mu.Lock()
	p.secret = k.secret
	k.mu.Unlock()
	if err := p.check(masterSide, answer.Sum); err != nil {
		return err
	}
	tree, err := trees.Describe(k.self)
	if err != nil {
		return err
	}
	age, err := k.claim()
	if err != nil {
		return err
	}
	k.lookAgain()
	// If this fails the connection is broken, which is the loss of that master.
	_ = t.say(handover{
		Sum: p.by(contextSide), Hello: bootstrap.NewHello(trees.Fingerprint()),
		Tree: tree.ID, ID: tree.Root, Path: tree.Path, Age: age,
	})
	k.master <- t.finish()
	return nil
}
