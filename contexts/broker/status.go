//go:build linux || darwin || freebsd

package broker

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
	"github.com/mitosis-go/mitosis/contexts/pool"
	"github.com/mitosis-go/mitosis/core"
)

// figuresTime bounds the wait for the figures of links.
const figuresTime = time.Second

// maxShown bounds the texts of a client that others see in the status, in bytes.
const maxShown = 256

// status tells what the broker holds.
func (q *request) status() (wire.Frame, error) {
	f := okFrame()
	f.Status = q.s.b.statusNow(q.ctx)
	return wire.Frame{Header: f}, nil
}

// statusNow describes the broker as it is.
func (b *broker) statusNow(ctx context.Context) *Status {
	ctx, cancel := context.WithTimeout(ctx, figuresTime)
	defer cancel()
	links := make(map[core.ID]contexts.Info)
	tree, _ := b.self.Tree(ctx) // what could not be asked is missing
	for _, i := range tree {
		links[i.ID] = i
	}
	s := &Status{
		PID: os.Getpid(), Program: b.cfg.Program, Socket: b.socket.path, Since: b.began.UTC(), IdleTimeout: max(b.cfg.Idle, 0).Seconds(),
		Connections: []ConnectionStatus{}, Clients: []ClientStatus{}, Hosts: []HostStatus{},
	}
	for _, c := range b.pool.Stats() {
		if c.State == pool.Ready || c.State == pool.Leaving || c.State == pool.Opening {
			s.Connections = append(s.Connections, connectionStatus(c, links))
		}
	}
	for _, h := range b.pool.Hosts() {
		host := HostStatus{Path: h.Path, Connections: h.Connections, Bound: h.Bound}
		for _, n := range h.Waiting {
			host.Waiting += n
		}
		if h.Refusal != nil {
			host.Refusal = h.Refusal.Error()
		}
		s.Hosts = append(s.Hosts, host)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Requests, s.Uses, s.Retiring = b.requests, b.uses, b.retiring
	for session := range b.sessions {
		s.Clients = append(s.Clients, session.status())
	}
	slices.SortFunc(s.Clients, func(a, b ClientStatus) int { return a.PID - b.PID })
	return s
}

func connectionStatus(c pool.Stat, links map[core.ID]contexts.Info) ConnectionStatus {
	s := ConnectionStatus{
		Path: c.Path, Label: c.Path, Pool: c.Pool, State: c.State.String(), Uses: c.Uses, Leases: c.Leases, Through: c.Through,
		Age: c.Age.Seconds(), Idle: c.Idle.Seconds(),
	}
	if c.Node == nil {
		return s
	}
	s.Label = c.Node.String()
	if i, ok := links[c.Node.ID()]; ok {
		s.Hostname, s.User, s.PID = i.Hostname, i.User, i.PID
		s.RTT, s.BytesSent, s.BytesRead = i.RTT.Seconds(), i.BytesSent, i.BytesRead
	}
	return s
}

// status describes a client. The mu of the broker is held.
func (s *session) status() ClientStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := ClientStatus{PID: s.peer.PID, Name: s.name, Uses: s.uses}
	if q := s.current; q != nil {
		c.Op, c.Path, c.For = shorten(q.f.Op, maxShown), shorten(q.f.Path, maxShown), time.Since(q.began).Seconds()
	}
	return c
}

// stop ends the broker.
func (q *request) stop() (wire.Frame, error) {
	switch q.f.When {
	case "", "now":
		q.after = func() { q.s.b.cancel(errStopped) }
	case "idle":
		q.after = func() { q.s.b.retire() }
	default:
		return wire.Frame{}, usage("stop can be told when is now or idle, not %q", q.f.When)
	}
	return wire.Frame{Header: okFrame()}, nil
}
