package files

import (
	"errors"
	"fmt"

	"github.com/mitosis-go/mitosis/contexts/files/internal/checksum"
	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
	"github.com/mitosis-go/mitosis/core"
)

// announced is how many files a sender announces ahead of their contents.
const announced = 1024

// smallFile is the size up to which a file is read, hashed and written whole,
// in bytes.
const smallFile = 64 << 10

// sender is one send under way.
type sender struct {
	// Immutable.
	c   conn
	src *source
	o   Options
	out *wire.Writer
	in  *wire.Reader

	// walked takes what the walker finds; with room for 64, so that small
	// entries fill frames. heard takes what the receiver says; with room for an
	// answer to everything announced, so that the receiver never waits for a
	// sender that waits for it. Who sends stops when quit is closed.
	walked chan event
	heard  chan event
	deaf   chan struct{} // closed when nothing more is sent to heard
	quit   chan struct{}
	slots  chan struct{} // capacity announced; one is taken for each file under way

	// Owned by send.
	waiting []*wire.Entry // announced files without an answer, oldest first
	opener  opener
	sum     *checksum.Hasher // nil until a file needs it
	small   []byte
	sent    int64
	direct  bool // data of the file under way go straight into the target
	torn    bool // some have been sent
	done    Progress
}

// event is one of: an entry of the walker, its end, what the receiver needs,
// its result, an error.
type event struct {
	entry   *wire.Entry
	ending  *wire.Ending
	verdict *wire.Verdict
	result  []byte // not decoded yet
	err     error
}

// send copies src to the receiver at the other end of c. It returns when the
// receiver has told the result, or at the first error on either side, with
// which the connection has then been reset.
func sendTree(c conn, src *source, o Options) (Result, error) {
	b, s, err := converse(c, src, o)
	var res Result
	if err == nil {
		err = core.Unmarshal(b, &res)
	}
	if err != nil {
		return Result{}, err
	}
	res.Source, res.Sent = src.path, s.sent
	return res, nil
}

// converse returns what the other side says at the end.
func converse(c conn, src *source, o Options) ([]byte, *sender, error) {
	s := &sender{
		c: c, src: src, o: o.withDefaults(), out: wire.NewWriter(c), in: wire.NewReader(c),
		walked: make(chan event, 64), heard: make(chan event, announced+1),
		deaf: make(chan struct{}), quit: make(chan struct{}), slots: make(chan struct{}, announced),
		opener: opener{src: src},
	}
	ended := make(chan struct{}, 2)
	go func() { s.announce(); ended <- struct{}{} }()
	go func() { s.listen(); close(s.deaf); ended <- struct{}{} }()
	res, err := s.send()
	if errors.Is(err, core.ErrClosed) {
		err = s.lastWords(err)
	}
	close(s.quit)
	if err != nil {
		err = s.doubt(err)
		c.Reset(err)
	}
	<-ended
	<-ended
	s.opener.close()
	if s.sum != nil {
		s.sum.Close()
	}
	return res, s, err
}

// lastWords returns why the receiver has closed, in place of err, which says
// that it has: who writes may learn that first.
func (s *sender) lastWords(err error) error {
	<-s.deaf
	for {
		select {
		case ev := <-s.heard:
			if ev.err != nil {
				return ev.err
			}
		default:
			return err
		}
	}
}

// doubt adds to an error what it may mean for a target that was written in
// place, where it is not the receiver's: that knows.
func (s *sender) doubt(err error) error {
	if _, told := errors.AsType[*core.RemoteError](err); told || !s.torn {
		return err
	}
	return fmt.Errorf("%w; perhaps %w", err, ErrIncomplete)
}

// post passes an event on. It reports false when nobody wants it any more.
func (s *sender) post(to chan event, ev event) bool {
	select {
	case to <- ev:
		return true
	case <-s.quit:
		return false
	}
}

// announce walks the source.
func (s *sender) announce() {
	end := &wire.Ending{Source: s.src.path}
	w := walker{src: s.src, o: s.o, emit: s.emit}
	ok := s.emit(s.src.top())
	if ok && s.src.root != nil {
		if err := w.walk(s.src.root, "", 0); err != nil {
			s.post(s.walked, event{err: err})
			return
		}
	}
	end.Skipped = w.skipped
	s.post(s.walked, event{ending: end})
}

func (s *sender) emit(e *wire.Entry) bool {
	if e.Kind == wire.KindFile {
		select {
		case s.slots <- struct{}{}:
		case <-s.quit:
			return false
		}
	}
	return s.post(s.walked, event{entry: e})
}

// listen reads what the receiver says until its result.
func (s *sender) listen() {
	for {
		ev := s.hear()
		if !s.post(s.heard, ev) || ev.verdict == nil {
			return
		}
	}
}

func (s *sender) hear() (ev event) {
	kind, size, err := s.in.Next()
	switch {
	case err != nil:
		ev.err = err
	case kind == wire.RecVerdict:
		ev.verdict = new(wire.Verdict)
		ev.err = s.in.Value(size, ev.verdict)
	case kind == wire.RecResult:
		ev.result, ev.err = s.in.Body(size)
	default:
		ev.err = wire.ProtocolError("a record that a receiver does not send")
	}
	if ev.err != nil {
		ev.verdict, ev.result = nil, nil
	}
	return ev
}

// next waits for an event.
func (s *sender) next() (ev event) {
	select {
	case ev = <-s.heard:
		return ev
	case ev = <-s.walked:
		return ev
	default:
	}
	// Nothing to say for a moment: what was said has to arrive.
	if err := s.out.Flush(); err != nil {
		return event{err: err}
	}
	select {
	case ev = <-s.heard:
	case ev = <-s.walked:
	}
	return ev
}

// run is the one that writes.
func (s *sender) send() ([]byte, error) {
	var end *wire.Ending
	for {
		ev := s.next()
		err := ev.err
		switch {
		case err != nil:
		case ev.entry != nil:
			err = s.entry(ev.entry)
		case ev.ending != nil:
			end = ev.ending
		case ev.verdict != nil:
			err = s.answer(ev.verdict)
		case end == nil || len(s.waiting) > 0:
			err = wire.ProtocolError("a result before the end")
		default:
			return ev.result, nil
		}
		if err == nil && ev.result == nil && end != nil && len(s.waiting) == 0 {
			err = s.out.Value(wire.RecEnd, end)
		}
		if err != nil {
			return nil, err
		}
	}
}

func (s *sender) entry(e *wire.Entry) error {
	if e.Kind == wire.KindFile {
		s.waiting = append(s.waiting, e)
		s.done.Total += max(e.Size, 0)
	}
	return s.out.Value(wire.RecEntry, e)
}
