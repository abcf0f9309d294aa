// Package wire has the frames of the broker's protocol, and the headers that both sides send:
// see docs/broker-protocol.md.
package wire

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Version is the version of the protocol.
const Version = 1

// The bounds of frames, in bytes.
const (
	MaxHeader   = 1 << 20
	MaxBody     = 1 << 20
	MaxGreeting = 4 << 10  // of the header of the client's greeting, which has no body
	MaxData     = 64 << 10 // of the body of a frame of a stream that the broker sends
)

// InputCredit is what a client may send of an input before it has had credit, in bytes.
const InputCredit = 256 << 10

// ErrProtocol is matched by the error for frames that break the rules.
var ErrProtocol = errors.New("the other side breaks the protocol")

// ErrTooLarge is matched by the error of Write for a frame that the rules do not allow. Nothing of it was
// written.
var ErrTooLarge = errors.New("the frame is too large")

// A Reader reads frames. One goroutine uses it.
type Reader struct {
	r      *bufio.Reader
	header []byte
	body   []byte
}

// NewReader returns a reader of the frames of r.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 64<<10)} }

// Next reads a frame, and decodes its header into v. The body is valid until the next call. The
// error is io.EOF only between two frames.
func (r *Reader) Next(v any, maxHeader, maxBody int) (body []byte, err error) {
	var sizes [8]byte
	if _, err := io.ReadFull(r.r, sizes[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: the connection ended within a frame", ErrProtocol)
		}
		return nil, err
	}
	h, b := binary.BigEndian.Uint32(sizes[:4]), binary.BigEndian.Uint32(sizes[4:])
	if int64(h) > int64(maxHeader) || int64(b) > int64(maxBody) {
		return nil, fmt.Errorf("%w: a frame has a header of %d and a body of %d bytes; %d and %d are allowed", ErrProtocol, h, b, maxHeader, maxBody)
	}
	if r.header, err = r.read(r.header, int(h)); err != nil {
		return nil, err
	}
	if err := checkHeader(r.header); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrProtocol, err)
	}
	if err := json.Unmarshal(r.header, v); err != nil {
		return nil, fmt.Errorf("%w: a header is no JSON object of the right form: %v", ErrProtocol, err)
	}
	r.body, err = r.read(r.body, int(b))
	return r.body, err
}

// keptBuffer bounds the buffer that is kept for small headers and bodies after a large one.
const keptBuffer = 64 << 10

// read reads n bytes into buf, or into another one.
func (r *Reader) read(buf []byte, n int) ([]byte, error) {
	if cap(buf) < n || cap(buf) > keptBuffer && n <= keptBuffer {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	_, err := io.ReadFull(r.r, buf)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = fmt.Errorf("%w: the connection ended within a frame", ErrProtocol)
	}
	return buf, err
}

// Buffered returns the bytes that were read and are not part of a frame that Next has returned.
func (r *Reader) Buffered() []byte {
	b, _ := r.r.Peek(r.r.Buffered())
	return b
}

// A Writer writes frames. Any number of goroutines use it.
type Writer struct {
	mu  sync.Mutex
	w   io.Writer // guarded by mu
	err error     // guarded by mu: of the first write that failed
}

// NewWriter returns a writer of frames to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// A Frame is one to be written. Its header is encoded as JSON.
type Frame struct {
	Header any
	Body   []byte
}

// Write writes frames, without others between them.
func (w *Writer) Write(frames ...Frame) error {
	var small []byte // all headers, and the sizes in front of them
	ends := make([]int, len(frames))
	for i, f := range frames {
		header, err := json.Marshal(f.Header)
		if err != nil {
			return err
		}
		if len(header) > MaxHeader || len(f.Body) > MaxBody {
			return fmt.Errorf("%w: it has a header of %d and a body of %d bytes; %d and %d are allowed", ErrTooLarge, len(header), len(f.Body), MaxHeader, MaxBody)
		}
		small = binary.BigEndian.AppendUint32(small, uint32(len(header)))
		small = binary.BigEndian.AppendUint32(small, uint32(len(f.Body)))
		small = append(small, header...)
		ends[i] = len(small)
	}
	var buffers net.Buffers
	begin := 0
	for i, f := range frames {
		if len(f.Body) > 0 {
			buffers = append(buffers, small[begin:ends[i]], f.Body)
			begin = ends[i]
		}
	}
	if begin < len(small) {
		buffers = append(buffers, small[begin:])
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		_, w.err = buffers.WriteTo(w.w)
	}
	return w.err
}
