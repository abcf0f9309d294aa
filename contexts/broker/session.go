//go:build linux || darwin || freebsd

package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts/attach"
	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
	"github.com/mitosis-go/mitosis/contexts/pool"
	"github.com/mitosis-go/mitosis/internal/usersocket"
)

// session is a connection of a client.
//
// Goroutines: serve reads frames. Each request has one that carries it out, of which there is one at
// a time; serve waits for it.
type session struct {
	// Immutable.
	b    *broker
	conn *net.UnixConn
	peer attach.Peer
	in   *wire.Reader // only serve reads
	out  *wire.Writer

	asked atomic.Uint64 // the number of the last question: a late answer is not one to the next request

	// Guarded by the mu of the broker.
	uses    int       // requests and leases
	since   time.Time // the end of the last use
	evicted bool

	// Owned by the one goroutine of the request.
	leases    map[uint64]*pool.Lease // of "open"
	lastLease uint64

	mu      sync.Mutex     // may be locked with the mu of the broker held, and not the other way round
	name    string         // guarded by mu: what the client calls itself
	current *request       // guarded by mu: nil between two requests
	why     error          // guarded by mu: it was ended from outside
	joined  bool           // guarded by mu: the connection is a link of the tree
	work    sync.WaitGroup // the goroutine of the request
}

// greetTime bounds the time until the client's greeting is there.
const greetTime = 10 * time.Second

// lastTime bounds the writing of the last frames of a session.
const lastTime = time.Second

// errClientLeft is the cause of the ctx of a request whose client has closed the connection.
var errClientLeft = errors.New("the client has closed the connection")

func newSession(b *broker, c *net.UnixConn, p attach.Peer) *session {
	return &session{b: b, conn: c, peer: p, in: wire.NewReader(c), out: wire.NewWriter(c), since: time.Now(), leases: make(map[uint64]*pool.Lease)}
}

// end ends the session from outside. A link of the tree ends with the membership of its process.
func (s *session) end(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.joined {
		return
	}
	s.why = why
	if s.current != nil {
		s.current.cancel(why)
	}
	_ = s.conn.SetReadDeadline(time.Unix(1, 0))
}

// setDeadline sets the deadline of the connection, unless the session was ended from outside.
func (s *session) setDeadline(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == nil {
		_ = s.conn.SetDeadline(at)
	}
}

// refuse ends a connection that has no place.
func (s *session) refuse(f *failure) {
	_ = s.conn.SetDeadline(time.Now().Add(lastTime))
	_ = s.out.Write(wire.Frame{Header: f.frame()})
	_ = s.conn.Close()
}

// serve serves the client until it leaves.
func (s *session) serve() {
	err := s.greet()
	if err == nil {
		err = s.read()
	}
	if errors.Is(err, errJoins) {
		s.work.Wait()
		s.b.guests.Admit(&usersocket.Begun{Conn: s.conn, Left: s.in.Buffered()}, s.peer)
		s.b.unuse(s, true)
	} else if errors.Is(err, wire.ErrProtocol) {
		s.b.log.Warn("a client breaks the protocol", "pid", s.peer.PID, "err", err)
		// Writing may wait for the client, and it has one second.
		_ = s.conn.SetWriteDeadline(time.Now().Add(lastTime))
		s.mu.Lock()
		q := s.current
		s.mu.Unlock()
		last := wire.Frame{Header: (&failure{kind: "protocol", err: err}).frame()}
		if q != nil {
			q.sendLast(last)
		} else {
			_ = s.out.Write(last)
		}
		_ = s.conn.Close()
	}
	s.mu.Lock()
	unasked := s.why != nil && s.current == nil && !s.joined
	if s.current != nil {
		s.current.cancel(errClientLeft)
	}
	s.mu.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(lastTime)) // for the last frame of the request
	s.work.Wait()
	if unasked { // a request that is on its way has not begun, and its client learns so
		_ = s.out.Write(wire.Frame{Header: failureOf(s.why).frame()})
	}
	_ = s.conn.Close()
	for _, l := range s.leases {
		l.Release()
		s.b.unuse(s, true)
	}
}

// greet exchanges the greetings.
func (s *session) greet() error {
	s.setDeadline(time.Now().Add(greetTime))
	if err := s.out.Write(wire.Frame{Header: s.b.greeting}); err != nil {
		return err
	}
	var g wire.Greeting
	if _, err := s.in.Next(&g, wire.MaxGreeting, 0); err != nil {
		return err
	}
	if g.Mitosis != "client" {
		return fmt.Errorf("%w: the first frame is no greeting of a client", wire.ErrProtocol)
	}
	if g.Version != wire.Version {
		s.refuse(&failure{kind: "version", err: fmt.Errorf("the broker speaks version %d, the client %d", wire.Version, g.Version)})
		return io.EOF
	}
	s.mu.Lock()
	s.name = shorten(g.Name, maxShown)
	s.mu.Unlock()
	s.setDeadline(time.Time{})
	return nil
}

// errJoins: the rest of the connection is a link of the tree.
var errJoins = errors.New("the client joins the tree")

// read reads frames until the connection ends, or the client joins.
func (s *session) read() error {
	for {
		var f wire.ClientFrame
		body, err := s.in.Next(&f, wire.MaxHeader, wire.MaxBody)
		if err != nil {
			return err
		}
		if f.Op == "" {
			s.mu.Lock()
			q := s.current
			s.mu.Unlock()
			if q != nil {
				if err := q.frame(&f, body); err != nil {
					return err
				}
			}
			continue
		}
		if f.Op == "join" {
			return s.join()
		}
		if err := s.begin(&f, body); err != nil {
			return err
		}
	}
}

var errSecondRequest = fmt.Errorf("%w: a request came while another one was under way", wire.ErrProtocol)

// join has the connection be a link of the tree from now on. The error is errJoins where that went
// well; the session has one more use then.
func (s *session) join() error {
	if s.busy() {
		return errSecondRequest
	}
	if !s.b.use(s, true) {
		return errEvicted
	}
	s.mu.Lock()
	s.joined = s.why == nil // no frame follows the answer then
	joined := s.joined
	s.mu.Unlock()
	err := error(io.EOF)
	if joined {
		err = s.out.Write(wire.Frame{Header: okFrame()})
	}
	if err == nil {
		return errJoins
	}
	s.b.unuse(s, true)
	return err
}

// busy reports whether a request is under way.
func (s *session) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current != nil
}

// begin begins a request.
func (s *session) begin(f *wire.ClientFrame, body []byte) error {
	if s.busy() {
		return errSecondRequest
	}
	q := newRequest(s, f, body)
	if !s.b.use(s, q.counts()) {
		q.cancel(errEvicted)
		return errEvicted
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = q
	if s.why != nil {
		q.cancel(s.why)
	}
	s.work.Go(q.run)
	return nil
}

// finish sends the last frame of a request.
func (s *session) finish(q *request, last ...wire.Frame) {
	q.cancel(nil)
	s.mu.Lock()
	s.current = nil // before the client knows that it may send the next one
	s.mu.Unlock()
	s.b.unuse(s, q.counts())
	q.sendLast(last...)
}

// open takes a connection for the request's path.
func (q *request) open() (*pool.Lease, error) {
	hops, err := q.hops()
	if err != nil {
		return nil, err
	}
	ctx, clock, stop := withClock(q.ctx, seconds(q.f.ConnectTimeout), errConnectTimeout)
	defer stop()
	return q.s.b.lease(ctx, q.f.Pool, hops, q, clock)
}

var errConnectTimeout = fmt.Errorf("%w: the host was not connected in time", context.DeadlineExceeded)

// hops reads the path of the request, and checks that it is allowed.
func (q *request) hops() ([]connect.Method, error) {
	if q.f.Path == "" {
		return nil, usage("the request has no path")
	}
	if n := strings.Count(q.f.Path, "/") + 1; n > maxHops {
		return nil, usage("the path has %d hops; %d are allowed", n, maxHops)
	}
	if !allowed(q.s.b.cfg.Allow, q.f.Path) {
		return nil, fmt.Errorf("%w: %s", ErrNotAllowed, q.f.Path)
	}
	hops, err := connect.ParsePath(q.f.Path)
	if err == nil {
		// As the command line has it, so that both use one connection. Nobody is asked where the client
		// takes no questions.
		hops, err = connect.SSHSettings{HostKeys: connect.HostKeysAsk}.Apply(hops)
	}
	if err != nil {
		return nil, &failure{kind: "usage", err: err}
	}
	return hops, nil
}

// maxHops bounds the hops of a path, and so what the broker keeps of paths that can't be connected.
const maxHops = 32
