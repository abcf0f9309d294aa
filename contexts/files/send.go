package files

import (
	"errors"
	"fmt"

	"github.com/mitosis-go/mitosis/contexts/files/internal/checksum"
	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
	"github.com/mitosis-go/mitosis/core"
)

// announced is the number of files that a sender announces ahead of their contents, at
// most.
const announced = 1024

// smallFile is the size of the largest file that is read, hashed and written as a whole,
// in bytes.
const smallFile = 64 << 10

// sender is one call of sendTree.
type sender struct {
	// Immutable.
	c   conn
	src *source
	o   Options
	out *wire.Writer
	in  *wire.Reader

	// announce sends to walked; its capacity of 64 lets small entries fill frames.
	// listen sends to heard; its capacity is one more than announced, for an answer to
	// every file, so that the receiver never waits for a sender that waits for it. Both
	// stop when quit is closed. Nobody closes walked and heard.
	walked chan event
	heard  chan event
	deaf   chan struct{} // closed when listen has ended
	quit   chan struct{} // closed when send has ended
	slots  chan struct{} // capacity announced; announce sends for each file, answer receives

	// Owned by send.
	waiting []*wire.Entry // announced files without an answer, oldest first
	opener  opener
	sum     *checksum.Hasher // nil until a file needs it
	small   []byte
	sent    int64
	direct  bool // data of the present file go straight into the target
	torn    bool // some of these have been sent
	done    Progress
}

// event is one of: an entry that the walker has found, the end of its walk, a verdict or
// the result of the receiver, an error.
type event struct {
	entry   *wire.Entry
	ending  *wire.Ending
	verdict *wire.Verdict
	result  []byte // not decoded yet
	err     error
}

// sendTree sends a file or a tree to the receiver at the other end of c. It returns when
// the receiver has sent the result, or at the first error on either side. The connection
// has been reset with that error.
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

// converse sends src and returns the result of the other side, which is not decoded.
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

// lastWords returns the reason for which the receiver has closed the connection, in place
// of err, which only says that it has: a write may fail before the reason is read.
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

// doubt adds to an error that a target may be incomplete, if it was written in place. An
// error of the receiver stays as it is: the receiver knows.
func (s *sender) doubt(err error) error {
	if _, told := errors.AsType[*core.RemoteError](err); told || !s.torn {
		return err
	}
	return fmt.Errorf("%w; perhaps %w", err, ErrIncomplete)
}

// post passes an event on. It reports whether send still wants it.
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

// listen reads records of the receiver up to its result.
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
	// There is nothing to send for a moment: the receiver must get all records that are buffered.
	if err := s.out.Flush(); err != nil {
		return event{err: err}
	}
	select {
	case ev = <-s.heard:
	case ev = <-s.walked:
	}
	return ev
}

// send writes all records, as events come.
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
