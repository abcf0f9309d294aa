package core

import "io"

// Reader reads frames from a link. It checks sizes against their bounds before it takes
// memory, and looks at each byte once. A cbor.Decoder would validate a frame from its first
// byte again after each read.
type Reader struct {
	r          io.Reader
	buf        []byte
	start, end int // the unread part of buf
}

// readBuffer is the size of one read in bytes: the usual capacity of a pipe.
const readBuffer = 64 << 10

// NewReader returns a Reader of r. It reads ahead, by at most one Read of r.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: r, buf: make([]byte, readBuffer)}
}

// Buffered returns the bytes that were read ahead, for callers that go on reading without
// the Reader. They are valid until the next call of Next.
func (d *Reader) Buffered() []byte { return d.buf[d.start:d.end] }

// Next returns the next frame, which the caller then owns. The error is io.EOF between two
// frames, io.ErrUnexpectedEOF within one, or that of the underlying reader, or it matches
// ErrProtocol. After an error the Reader must not be used.
func (d *Reader) Next() (*Frame, error) {
	for {
		h, bodyLen, n, err := ParseHeader(d.buf[d.start:d.end])
		if err == nil {
			return d.body(h, bodyLen, n)
		}
		if err != ErrShort {
			return nil, err
		}
		if err := d.fill(); err != nil {
			if err == io.EOF && d.start < d.end {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// body completes a frame whose header of n bytes is at the front of buf.
func (d *Reader) body(h Header, bodyLen, n int) (*Frame, error) {
	f := NewFrame(bodyLen)
	f.Header = h
	f.start = MaxHeader - n
	have := copy(f.buf[f.start:MaxHeader+bodyLen], d.buf[d.start:d.end])
	d.start += have
	if rest := f.Body[have-n:]; len(rest) > 0 {
		// The rest of a large body takes no detour through buf.
		if _, err := io.ReadFull(d.r, rest); err != nil {
			f.Release()
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return f, nil
}

// fill reads once. An incomplete header is moved to the front first; it is
// shorter than MaxHeader, so there is always room.
func (d *Reader) fill() error {
	copy(d.buf, d.buf[d.start:d.end])
	d.start, d.end = 0, d.end-d.start
	// A reader that keeps returning nothing is broken; see io.Reader.
	for range 100 {
		n, err := d.r.Read(d.buf[d.end:])
		d.end += n
		if n > 0 {
			return nil // the next Read returns an error again
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}
