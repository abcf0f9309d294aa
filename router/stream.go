package router

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// Stream is a flow-controlled connection between two contexts, with a handle at each end. It
// is a net.Conn that can also be closed for writing only, and reset with an error.
//
// The opener makes its end with NewStream, and passes the handle as reply of a message. The
// receiver makes the other end with AcceptStream. A Write waits until the other side has read
// enough of the bytes before.
type Stream struct {
	// Immutable.
	r      *Router
	dst    core.ID
	handle core.Handle
	link   *Link         // the link whose quota it counts against; nil: none
	opened chan struct{} // closed when the other end's handle is known
	dead   chan struct{} // closed when nothing can be written any more
	gone   chan struct{} // closed when this end is closed

	readDeadline, writeDeadline deadline

	writing sync.Mutex // held by the one Write or CloseWrite under way
	out     sender

	readable chan struct{} // capacity 1; a goroutine that adds something to read sends, Read receives

	// Guarded by mu.
	mu       sync.Mutex
	peer     core.Handle // the other end; 0: not known yet
	in       recvWindow
	chunks   []chunk
	reserved uint64 // of the receive budget
	readErr  error  // behind the chunks; io.EOF after an orderly end
	writeErr error
	ended    bool // the other side has been told that nothing more comes
	closed   bool
}

// chunk is data that has come. Small frames share a chunk.
type chunk struct {
	data  []byte      // not read yet
	frame *core.Frame // to be released with it; nil: ordinary memory
}

// Addr is the address of one end of a stream.
type Addr struct{ ID core.ID }

// Network implements net.Addr.
func (Addr) Network() string { return "mitosis" }

// String implements net.Addr: the context's number.
func (a Addr) String() string { return fmt.Sprintf("context %d", a.ID) }

var _ net.Conn = (*Stream)(nil)

// NewStream makes the opening end of a stream to dst. Its Handle has to be the reply of the
// message that opens the stream. If there are as many streams as Limits.ReceiveBudget
// allows, the stream is dead from the start, with core.ErrBusy.
func (r *Router) NewStream(dst core.ID) *Stream {
	s := r.newStream(dst, nil)
	if !r.receiveBudget.takeAll(openWindow) {
		s.lost(&core.Error{Op: "open stream", Kind: core.KindBusy})
		return s
	}
	s.reserved, s.in = openWindow, newRecvWindow(openWindow)
	r.endpoints.add(s.handle, s)
	if r.closing.Load() {
		s.lost(&core.Error{Op: "open stream", Kind: core.KindClosed})
	}
	return s
}

// AcceptStream makes the other end of a stream. m is the message that opens it: its Reply is
// the opener's end. The error is ErrBusy if there are too many streams, and ErrProtocol if
// the message awaits no answer.
func (r *Router) AcceptStream(m Message) (*Stream, error) {
	if m.Reply < core.FirstDynamic {
		return nil, &core.Error{Op: "accept stream", Kind: core.KindProtocol, Err: errors.New("the message awaits no answer")}
	}
	link := m.from
	if link != nil && link.parent {
		link = nil
	}
	if link != nil && link.streams.Add(1) > int64(r.limits.Streams) {
		link.streams.Add(-1)
		return nil, &core.Error{Op: "accept stream", Kind: core.KindBusy}
	}
	if !r.receiveBudget.takeAll(openWindow) {
		if link != nil {
			link.streams.Add(-1)
		}
		return nil, &core.Error{Op: "accept stream", Kind: core.KindBusy}
	}
	s := r.newStream(m.Src, link)
	s.peer = m.Reply
	close(s.opened)
	s.reserved, s.in = openWindow, newRecvWindow(openWindow)
	r.endpoints.add(s.handle, s)
	if _, err := r.linkTo(m.Src); err != nil {
		s.lost(err)
		s.Close()
		return nil, err
	}
	s.mu.Lock()
	s.firstCreditLocked(openingCredit)
	s.mu.Unlock()
	return s, nil
}

func (r *Router) newStream(dst core.ID, link *Link) *Stream {
	s := &Stream{
		r: r, dst: dst, handle: r.endpoints.handle(), link: link,
		opened: make(chan struct{}), dead: make(chan struct{}), gone: make(chan struct{}),
		readable: make(chan struct{}, 1),
	}
	s.readDeadline.init()
	s.writeDeadline.init()
	s.out.init(&r.sendBudget, openWindow)
	return s
}

// Handle returns the number of this end.
func (s *Stream) Handle() core.Handle { return s.handle }

// Done returns a channel that is closed when nothing can be written any more: the stream was
// closed or reset at either end, or the other end is lost. Bytes that came before can still
// be read. A CloseWrite of the other end does not close the channel.
func (s *Stream) Done() <-chan struct{} { return s.dead }

// LocalAddr implements net.Conn.
func (s *Stream) LocalAddr() net.Addr { return Addr{s.r.self} }

// RemoteAddr implements net.Conn.
func (s *Stream) RemoteAddr() net.Addr { return Addr{s.dst} }

// SetDeadline implements net.Conn.
func (s *Stream) SetDeadline(t time.Time) error {
	s.readDeadline.set(t)
	s.writeDeadline.set(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.readDeadline.set(t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.writeDeadline.set(t)
	return nil
}

// Close ends both directions in order. The other side reads the bytes that were written, and
// then io.EOF; its writes fail from then on. Received bytes that were not read are dropped.
// Close does not wait.
func (s *Stream) Close() error {
	s.finish(nil)
	return nil
}

// Reset ends both directions with an error. The other side reads the bytes that were written
// before, and then err in place of io.EOF.
func (s *Stream) Reset(err error) {
	if err == nil {
		err = core.ErrClosed
	}
	s.finish(err)
}

// finish closes this end, in order if err is nil.
func (s *Stream) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	for _, c := range s.chunks {
		if c.frame != nil {
			c.frame.Release()
		}
	}
	s.chunks = nil
	failed := s.writeErr != nil && s.readErr != nil
	if s.readErr == nil || s.readErr == io.EOF || err != nil {
		// Read must not return io.EOF, because unread data was dropped.
		s.readErr = closedError("read", err)
	}
	if s.writeErr == nil {
		close(s.dead)
	}
	s.writeErr = closedError("write", err)
	close(s.gone)
	s.r.receiveBudget.give(s.reserved)
	s.reserved = 0
	s.out.release()
	if s.link != nil {
		s.link.streams.Add(-1)
	}
	// The handle is removed last. Otherwise the other end could learn that this one does
	// not exist before it learns why.
	defer s.r.endpoints.remove(s.handle)
	switch {
	case failed:
		// The other end knows, or is gone.
	case s.peer == 0:
		// The other end is not known yet. Its first frame will be answered with
		// errClosed: see bounce.
	case err != nil:
		s.sendFrame(core.Dead, core.EncodeErrorWithin(err, core.MaxBody))
	case s.ended:
		s.sendFrame(core.Dead, errClosed.body())
	default:
		s.sendFrame(core.Dead|core.End, errClosed.body())
	}
}

// closedError returns the error of operations on a closed stream.
func closedError(op string, reason error) error {
	e := &core.Error{Op: op + " stream", Kind: core.KindClosed, Err: net.ErrClosed}
	if reason != nil {
		e.Err = fmt.Errorf("%w: %w", net.ErrClosed, reason)
	}
	return e
}

// sendFrame queues a frame to the other end, behind the data and without waiting.
func (s *Stream) sendFrame(flags core.Flags, body []byte) {
	f := newFrame(core.Header{Dst: s.dst, Src: s.r.self, Auth: s.r.self, Handle: s.peer, Reply: s.handle, Flags: flags}, body)
	s.put(f)
}

func (s *Stream) put(f *core.Frame) {
	l, err := s.r.linkTo(s.dst)
	switch {
	case err != nil:
		f.Release()
	case l == nil:
		s.r.loop.put(s.r, f)
	default:
		if l.q.put(f, nil) != taken {
			f.Release()
		}
	}
}

// firstCreditLocked sends the first credit. The other end waits for it before it sends more
// than openWindow. The opener learns this handle from it.
func (s *Stream) firstCreditLocked(marks ...uint64) {
	if s.in.window < firstWindow {
		got := s.r.receiveBudget.takeAbove(firstWindow-s.in.window, s.r.share(keptForReaders))
		s.reserved += got
		s.in.window += got
	}
	more, arrived := s.in.next(time.Now())
	s.sendFrame(core.Credit, appendCredit(append([]uint64{more, arrived}, marks...)...))
}

// openingCredit is a third integer in the first credit of the end that was opened. If the
// opener has closed its end meanwhile, this credit is answered with an error. Other credit for
// a closed end is not answered, because it comes until the other end has read everything.
const openingCredit = 0

func appendCredit(v ...uint64) []byte {
	b := make([]byte, 0, 24)
	for _, v := range v {
		b = core.AppendUint(b, v)
	}
	return b
}

// opensStream reports whether the body of a credit frame has openingCredit.
func opensStream(body []byte) bool {
	for range 2 {
		_, n, err := core.ParseUint(body)
		if err != nil {
			return false
		}
		body = body[n:]
	}
	return len(body) == 1 && body[0] == openingCredit
}

func (s *Stream) creditLocked() {
	more, arrived := s.in.next(time.Now())
	s.sendFrame(core.Credit, appendCredit(more, arrived))
}

func (s *Stream) far() core.ID { return s.dst }

// lost fails both directions. Bytes that have come can still be read.
func (s *Stream) lost(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failLocked(err)
}

func (s *Stream) failLocked(err error) {
	if s.readErr == nil {
		s.readErr = err
	}
	s.unwritableLocked(err)
	s.signal()
}

func (s *Stream) unwritableLocked(err error) {
	if s.writeErr == nil {
		s.writeErr = err
		close(s.dead)
		s.out.release()
	}
}

func (s *Stream) signal() {
	select {
	case s.readable <- struct{}{}:
	default:
	}
}

// frame takes a frame of the other end.
func (s *Stream) frame(f *core.Frame, _ *Link) *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed // it was closed after toEndpoint had found it
	}
	if s.peer == 0 && f.Reply >= core.FirstDynamic {
		s.peer = f.Reply
		close(s.opened)
		if f.Flags&core.Dead == 0 {
			s.firstCreditLocked()
		}
	}
	if f.Reply != core.HandleNone && f.Reply != s.peer {
		f.Release()
		return nil
	}
	switch {
	case f.Flags&core.Credit != 0:
		if !s.out.grant(f.Body) {
			s.brokenLocked("credit that makes no sense")
		}
		f.Release()
	case f.Flags&core.Dead != 0:
		if f.Flags&core.End != 0 && s.readErr == nil {
			s.readErr = io.EOF
		}
		failed := core.DecodeLinkError(f.Body)
		if failed.ByRouter && f.Reply == core.HandleNone && s.peer != 0 && errors.Is(failed.Err, core.ErrClosed) {
			// A router has found the other end closed. The last frame of that end,
			// which has the reason, is on its way.
			s.unwritableLocked(failed.Err)
			f.Release()
			return nil
		}
		s.failLocked(failed.Err)
		if failed.ByRouter && f.Flags&core.End == 0 && s.peer != 0 {
			// A router on the way has refused a frame, and the other end does not
			// know that.
			s.sendFrame(core.Dead, f.Body)
		}
		f.Release()
	case f.Reply == core.HandleNone:
		// The frame is an ordinary answer, and none of a stream.
		s.brokenLocked("the answer belongs to no stream: the other side has not accepted one")
		f.Release()
	default:
		s.dataLocked(f)
	}
	return nil
}

// brokenLocked ends a stream whose other side breaks the protocol.
func (s *Stream) brokenLocked(what string) {
	err := &core.Error{Op: "stream", Kind: core.KindProtocol, Err: errors.New(what)}
	s.failLocked(err)
	if s.peer != 0 {
		s.sendFrame(core.Dead, core.EncodeLinkError(err))
	}
}

// dataLocked keeps data to be read.
func (s *Stream) dataLocked(f *core.Frame) {
	end := f.Flags&core.End != 0
	switch {
	case s.readErr != nil:
		f.Release() // the data comes after the end
		return
	case !s.in.receive(uint64(len(f.Body)), time.Now()):
		s.brokenLocked("more data than credit")
		f.Release()
		return
	}
	s.keepLocked(f)
	if end {
		s.readErr = io.EOF
	} else if s.in.unacknowledged() {
		s.creditLocked()
	}
	s.signal()
}

// gather is the size of chunks for small frames, in bytes. So a window of tiny frames takes no
// more memory than one of large frames.
const gather = 4 * kib

func (s *Stream) keepLocked(f *core.Frame) {
	if len(f.Body) == 0 {
		f.Release()
		return
	}
	if len(f.Body) >= core.MaxBody/2 {
		s.chunks = append(s.chunks, chunk{f.Body, f})
		return
	}
	if n := len(s.chunks); n > 0 {
		if last := &s.chunks[n-1]; last.frame == nil && cap(last.data)-len(last.data) >= len(f.Body) {
			last.data = append(last.data, f.Body...)
			f.Release()
			return
		}
	}
	b := make([]byte, len(f.Body), max(len(f.Body), gather))
	copy(b, f.Body)
	s.chunks = append(s.chunks, chunk{data: b})
	f.Release()
}

// timeout returns the error of an operation whose deadline has come.
func timeout(op string) error {
	return &net.OpError{Op: op, Net: Addr{}.Network(), Err: os.ErrDeadlineExceeded}
}
