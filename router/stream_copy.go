package router

import (
	"io"

	"github.com/mitosis-go/mitosis/core"
)

// WriteTo implements io.WriterTo, for io.Copy. It writes received data without copying it.
func (s *Stream) WriteTo(w io.Writer) (total int64, err error) {
	for {
		expired := s.readDeadline.wait()
		if isClosed(expired) {
			return total, timeout("read")
		}
		c, err := s.nextChunk()
		if len(c.data) > 0 {
			n, err := w.Write(c.data)
			total += int64(max(n, 0))
			if err == nil && n < len(c.data) {
				err = io.ErrShortWrite
			}
			s.chunkDone(c)
			if err != nil {
				return total, err
			}
			continue
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		select {
		case <-s.readable:
		case <-expired:
		case <-s.gone:
		}
	}
}

// nextChunk takes the first chunk out of the stream.
func (s *Stream) nextChunk() (chunk, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.chunks) == 0 {
		return chunk{}, s.readErr
	}
	c := s.chunks[0]
	s.chunks[0] = chunk{}
	if s.chunks = s.chunks[1:]; len(s.chunks) == 0 {
		s.chunks = nil
	}
	if len(s.chunks) > 0 || s.readErr != nil {
		s.signal()
	}
	return c, nil
}

// chunkDone grants the bytes of a chunk anew. It is called when they have been written,
// because they take memory until then.
func (s *Stream) chunkDone(c chunk) {
	n := len(c.data)
	if c.frame != nil {
		c.frame.Release()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.consumedLocked(n)
	}
}

// copiedRead is the number of bytes below which data is copied to a smaller frame.
const copiedRead = core.MaxBody / 4

// ReadFrom implements io.ReaderFrom, for io.Copy. It reads into frames directly. Like Write it
// may be called by one goroutine at a time.
func (s *Stream) ReadFrom(r io.Reader) (total int64, err error) {
	for {
		f := core.NewFrame(core.MaxBody)
		n, readErr := r.Read(f.Body)
		if n < 0 || n > len(f.Body) {
			n, readErr = 0, io.ErrNoProgress // a reader that lies
		}
		f.Body = f.Body[:n]
		sent, err := s.writeRead(f)
		total += int64(sent)
		switch {
		case err != nil:
			return total, err
		case readErr == io.EOF:
			return total, nil
		case readErr != nil:
			return total, readErr
		}
	}
}

// writeRead writes the body of a frame, which it takes over.
func (s *Stream) writeRead(f *core.Frame) (int, error) {
	n := len(f.Body)
	if n < copiedRead {
		defer f.Release()
		return s.Write(f.Body)
	}
	s.writing.Lock()
	got, expired, err := s.mayWrite(n)
	if err != nil {
		s.writing.Unlock()
		f.Release()
		return 0, err
	}
	if got == n {
		err := s.writeFrame(f, expired)
		s.writing.Unlock()
		if err != nil {
			return 0, err
		}
		return n, nil
	}
	// Credit for a part only: the rest is copied.
	defer f.Release()
	err = s.writeFrame(newFrame(core.Header{}, f.Body[:got]), expired)
	s.writing.Unlock()
	if err != nil {
		return 0, err
	}
	sent, err := s.Write(f.Body[got:])
	return got + sent, err
}
