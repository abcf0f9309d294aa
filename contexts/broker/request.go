//go:build linux || darwin || freebsd

package broker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
)

// request is one request of a client, while it is carried out.
type request struct {
	// Immutable.
	number uint64 // of all requests
	s      *session
	f      wire.ClientFrame
	body   []byte // a copy
	ctx    context.Context
	cancel context.CancelCauseFunc
	input  *inflow  // what the client sends; nil: this request has none
	output *outflow // credit for what it gets; nil: none is needed
	orders chan wire.ClientFrame
	began  time.Time
	ends   []wire.Frame // of its outputs, sent with the last frame; owned by its goroutine
	after  func()       // called when the last frame was sent; nil: nothing; owned by its goroutine

	sending sync.Mutex // held while a frame is sent
	ended   bool       // guarded by sending: the last frame was sent

	mu      sync.Mutex
	answers map[uint64]chan<- answer // guarded by mu: each has capacity 1
}

type answer struct {
	text    string
	refused bool
}

// maxOrders bounds the signals and sizes of a request that wait to be carried out.
const maxOrders = 256

// operations carries out requests by their names. Each returns the last frame.
var operations map[string]func(*request) (wire.Frame, error)

func init() {
	operations = map[string]func(*request) (wire.Frame, error){
		"open": (*request).openLease, "close": (*request).closeLease, "reset": (*request).reset,
		"exec": (*request).exec,
		"put":  (*request).put, "get": (*request).get,
		"stat": (*request).stat, "list_dir": (*request).listDir, "mkdir": (*request).mkdir, "remove": (*request).remove, "rename": (*request).rename,
		"forward": (*request).forward, "dial": (*request).dial,
		"call":   (*request).call,
		"status": (*request).status, "events": (*request).watchEvents, "stop": (*request).stop,
	}
}

// counts reports whether the request keeps the broker from being idle.
func (q *request) counts() bool {
	return q.f.Op != "status" && q.f.Op != "events" && q.f.Op != "stop"
}

// capabilities are the names of all requests and of what else a client may want to know of.
func capabilities() []string {
	all := []string{"join", "prompts", "pty", "window"}
	for name := range operations {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func newRequest(s *session, f *wire.ClientFrame, body []byte) *request {
	q := &request{number: s.b.numbers.Add(1), s: s, f: *f, body: slices.Clone(body), orders: make(chan wire.ClientFrame, maxOrders), began: time.Now()}
	ctx, cancel := context.WithCancelCause(s.b.ctx)
	q.ctx, q.cancel = ctx, cancel
	switch {
	case f.Op == "exec" && f.Stdin:
		q.input = newInflow("stdin", q.grant)
	case f.Op == "put" && f.Local == "", f.Op == "dial":
		q.input = newInflow("data", q.grant)
	}
	if f.Window > 0 {
		q.output = newOutflow(f.Window)
	}
	return q
}

// run carries the request out.
func (q *request) run() {
	defer context.AfterFunc(q.ctx, func() {
		q.input.close(context.Cause(q.ctx))
		q.output.close(context.Cause(q.ctx))
	})()
	if d := seconds(q.f.Timeout); d > 0 {
		timer := time.AfterFunc(d, func() { q.cancel(errTimeout) })
		defer timer.Stop()
	}
	last, err := q.carryOut()
	if err != nil {
		if q.ctx.Err() != nil && !isFailure(err) {
			err = q.why()
		}
		f := failureOf(err).frame()
		if known, ok := last.Header.(*wire.BrokerFrame); ok { // what is known besides
			known.OK, known.Error = f.OK, f.Error
			f = known
		}
		last = wire.Frame{Header: f}
	}
	q.input.close(contexts.ErrClosed)
	q.output.close(contexts.ErrClosed)
	q.s.finish(q, append(q.ends, last)...)
	if q.after != nil {
		q.after()
	}
}

// carryOut calls the operation. A panic there ends the request and not the broker.
func (q *request) carryOut() (last wire.Frame, err error) {
	defer func() {
		if v := recover(); v != nil {
			q.s.b.log.Error("a request ended with a panic", "op", q.f.Op, "panic", v, "stack", string(debug.Stack()))
			last, err = wire.Frame{}, fmt.Errorf("the broker has a bug: %v", v)
		}
	}()
	operation := operations[q.f.Op]
	if operation == nil {
		return wire.Frame{}, usage("there is no request %q", q.f.Op)
	}
	return operation(q)
}

var (
	errTimeout   = fmt.Errorf("%w: the request took too long", context.DeadlineExceeded)
	errCancelled = errors.New("the client has cancelled the request")
)

// why returns why the request's ctx has ended.
func (q *request) why() error { return context.Cause(q.ctx) }

// frame takes a frame of the client that belongs to the request. It does not wait. The error is one
// of the protocol.
func (q *request) frame(f *wire.ClientFrame, body []byte) error {
	switch {
	case f.Cancel:
		q.cancel(errCancelled)
	case f.Answer != nil:
		q.mu.Lock()
		if c := q.answers[*f.Answer]; c != nil {
			c <- answer{string(body), f.Refused}
			delete(q.answers, *f.Answer)
		}
		q.mu.Unlock()
	case f.Credit > 0:
		return q.output.add(f.Stream, f.Credit)
	case f.Signal != "" || f.Resize != nil:
		select {
		case q.orders <- *f:
		default:
			return fmt.Errorf("%w: %d signals and sizes wait", wire.ErrProtocol, maxOrders)
		}
	case f.Stream != "":
		return q.input.put(f.Stream, body, f.End)
	}
	return nil
}

// send sends frames that belong to the request.
func (q *request) send(frames ...wire.Frame) error {
	q.sending.Lock()
	defer q.sending.Unlock()
	if q.ended {
		return contexts.ErrClosed
	}
	return q.s.out.Write(frames...)
}

// sendLast sends the last frame, and what goes in front of it, unless that was sent before. Nothing of
// the request follows it: the client would take that for a part of the next one.
func (q *request) sendLast(frames ...wire.Frame) {
	q.sending.Lock()
	defer q.sending.Unlock()
	if q.ended {
		return
	}
	q.ended = true
	if err := q.s.out.Write(frames...); errors.Is(err, wire.ErrTooLarge) {
		_ = q.s.out.Write(wire.Frame{Header: failureOf(err).frame()})
	}
}

// grant lets the client send more of a stream.
func (q *request) grant(stream string, n int64) error {
	return q.send(wire.Frame{Header: &wire.BrokerFrame{Credit: n, Stream: stream}})
}

// person answers the questions of a connect that a request has caused.
type person interface {
	ask(ctx context.Context, p connect.Prompt) (string, error) // errNobody: another one is to be asked
	tell(n connect.Notice)
	place() uint64 // among all requests: earlier ones have a lower one
}

// errNobody: the one that was asked is gone, or takes no questions.
var errNobody = fmt.Errorf("%w: the client takes no questions", connect.ErrPasswordRequired)

// ask implements person.
func (q *request) ask(ctx context.Context, p connect.Prompt) (string, error) {
	if !q.f.Prompts || q.ctx.Err() != nil {
		return "", errNobody
	}
	c := make(chan answer, 1)
	q.mu.Lock()
	if q.answers == nil {
		q.answers = make(map[uint64]chan<- answer)
	}
	id := q.s.asked.Add(1)
	q.answers[id] = c
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		delete(q.answers, id)
		q.mu.Unlock()
	}()
	err := q.send(wire.Frame{Header: &wire.BrokerFrame{Prompt: &wire.Prompt{
		ID: id, Path: p.Path, Kind: wire.PromptKinds[p.Kind], Text: p.Text, Echo: p.Echo, Attempt: p.Attempt,
	}}})
	if err != nil {
		return "", errNobody
	}
	select {
	case a := <-c:
		if a.refused {
			return "", fmt.Errorf("%w: nobody answers at the client", connect.ErrPasswordRequired)
		}
		return a.text, nil
	case <-q.ctx.Done():
		return "", errNobody
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// place implements person.
func (q *request) place() uint64 { return q.number }

// tell implements person.
func (q *request) tell(n connect.Notice) {
	if q.f.Prompts {
		_ = q.send(wire.Frame{Header: &wire.BrokerFrame{Notice: &wire.Notice{Path: n.Path, Text: n.Text}}})
	}
}

// seconds makes a time of a number of seconds, which a client may choose at will.
func seconds(s float64) time.Duration {
	const most = 1e9 // thirty years
	if !(s > 0) {
		return 0
	}
	return max(time.Duration(min(s, most)*float64(time.Second)), 1)
}
