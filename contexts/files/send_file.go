package files

import (
	"bytes"
	"io"
	"os"

	"github.com/mitosis-go/mitosis/contexts/files/internal/checksum"
	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
)

// answer sends the oldest file that waits, as far as the receiver needs it.
func (s *sender) answer(v *wire.Verdict) error {
	if len(s.waiting) == 0 {
		return wire.ProtocolError("an answer about no file")
	}
	e := s.waiting[0]
	s.waiting = s.waiting[1:]
	<-s.slots
	s.done.Name = e.Path
	err := s.file(e, v)
	s.done.Files++
	s.progress(0)
	return err
}

func (s *sender) progress(n int64) {
	if s.done.Bytes += n; s.o.Progress != nil {
		s.o.Progress(s.done)
	}
}

func (s *sender) file(e *wire.Entry, v *wire.Verdict) error {
	if v.Kind == wire.NeedNothing {
		s.progress(e.Size)
		return s.out.Record(wire.RecSame, nil)
	}
	s.direct = v.Direct
	r := s.src.reader
	if s.src.root != nil {
		f, err := s.opener.open(e)
		if err != nil {
			return s.src.failure(e.Path, err)
		}
		defer f.Close()
		r = f
	}
	f, isFile := r.(*os.File)
	switch {
	case !isFile || e.Size < 0:
		return s.contents(e, v, r)
	case e.Size <= smallFile:
		return s.smallFile(e, v, f)
	}
	return s.contents(e, v, f)
}

func (s *sender) smallFile(e *wire.Entry, v *wire.Verdict, f *os.File) error {
	if s.small == nil {
		s.small = make([]byte, smallFile)
	}
	b := s.small[:e.Size]
	if _, err := io.ReadFull(f, b); err != nil {
		return s.src.failure(e.Path, wire.Unexpected(err))
	}
	// A tree has no SHA-256 to report.
	sum := checksum.Small(b, e.Path != "" && v.Kind == wire.NeedAll)
	if v.Kind == wire.NeedUnlessSame && bytes.Equal(sum, v.Sum) {
		s.progress(e.Size)
		return s.out.Record(wire.RecSame, nil)
	}
	if len(b) > 0 {
		if err := s.data(b, 0); err != nil {
			return s.broken(e, err)
		}
	}
	return s.out.Record(wire.RecFinish, sum)
}

// contents sends a file that is not small, or one of unknown size.
func (s *sender) contents(e *wire.Entry, v *wire.Verdict, r io.Reader) error {
	if s.sum == nil {
		s.sum = checksum.New()
	}
	s.sum.Reset(e.Sparse)
	if f, ok := r.(*os.File); ok && e.Size > 0 {
		same, err := s.known(e, v, f)
		if same || err != nil {
			return err
		}
		if err := s.sum.File(f, e.Size, s.data); err != nil {
			return s.broken(e, err)
		}
	} else if err := s.sum.Reader(r, e.Size, s.data); err != nil {
		return s.broken(e, err)
	}
	return s.out.Record(wire.RecFinish, s.sum.Sum())
}

// known compares the file of the receiver. It reports whether that is the same, and then
// says so. If its beginning is the same, the checksum has been computed up to its end.
func (s *sender) known(e *wire.Entry, v *wire.Verdict, f *os.File) (same bool, err error) {
	var end int64
	switch v.Kind {
	case wire.NeedUnlessSame:
		end = e.Size
	case wire.NeedRest:
		if end = v.Offset; end < 0 || end > e.Size || e.Sparse {
			return false, wire.ProtocolError("an offset that is not in the file")
		}
	default:
		return false, nil
	}
	if err := s.sum.File(f, end, nil); err != nil {
		return false, s.src.failure(e.Path, err)
	}
	matches := bytes.Equal(s.sum.Sum(), v.Sum)
	if matches && v.Kind == wire.NeedUnlessSame {
		s.progress(e.Size)
		return true, s.out.Record(wire.RecSame, nil)
	}
	if !matches {
		end = 0
		s.sum.Reset(e.Sparse)
	}
	if v.Kind == wire.NeedRest {
		s.progress(end)
		return false, s.out.Number(wire.RecOffset, end)
	}
	return false, nil
}

// data sends a block of a file, or a hole of n bytes.
func (s *sender) data(b []byte, n int64) error {
	s.torn = s.torn || s.direct
	var err error
	if b == nil {
		err = s.out.Number(wire.RecHole, n)
	} else {
		n = int64(len(b))
		s.sent += n
		err = s.out.Record(wire.RecData, b)
	}
	if err != nil {
		return &sendError{err}
	}
	s.progress(n)
	return nil
}

// sendError is an error of the connection, not of the file.
type sendError struct{ err error }

func (e *sendError) Error() string { return e.err.Error() }

// broken returns the error of sending a file: that of the connection or of the file.
func (s *sender) broken(e *wire.Entry, err error) error {
	if c, ok := err.(*sendError); ok {
		return c.err
	}
	return s.src.failure(e.Path, err)
}
