package core

import "sync"

// Frame is one frame with room for its encoded form. So it is read and forwarded without being
// decoded or copied again. Frames come from pools. The owner of a frame passes it on or calls
// Release.
type Frame struct {
	Header
	Body []byte // part of the frame's own memory; not to be used after Release

	// Next links frames of a queue. It belongs to the owner of the frame.
	Next *Frame

	buf   []byte // MaxHeader bytes for the header, right-aligned, then the body
	start int    // where the encoded form begins in buf; 0: not encoded yet
	class int
}

// frameClasses are the pools' frame sizes, by the largest body in bytes. Most frames are small
// calls, or full frames of bulk data. In between a frame is at most twice as large as it must
// be, because quotas count its memory while credit counts only bodies, and credit is to keep
// honest traffic within the quotas.
var frameClasses = [...]int{192, 4 << 10, 8 << 10, 16 << 10, 32 << 10, MaxBody}

var framePools [len(frameClasses)]sync.Pool

// NewFrame returns a frame with a zero header and a body of n bytes, at most
// MaxBody, whose content is arbitrary.
func NewFrame(n int) *Frame {
	class := 0
	for n > frameClasses[class] {
		class++ // beyond MaxBody this panics, as it must
	}
	f, _ := framePools[class].Get().(*Frame)
	if f == nil {
		f = &Frame{buf: make([]byte, MaxHeader+frameClasses[class]), class: class}
	}
	f.Body = f.buf[MaxHeader : MaxHeader+n]
	return f
}

// Release gives the frame back. Nobody may use it or its body afterwards.
func (f *Frame) Release() {
	f.Header, f.Body, f.Next, f.start = Header{}, nil, nil, 0
	framePools[f.class].Put(f)
}

// Encoded returns the encoded form of the frame. The header must not be changed afterwards
// without a call of Reencode.
func (f *Frame) Encoded() []byte {
	if f.start == 0 {
		f.encode()
	}
	return f.buf[f.start : MaxHeader+len(f.Body)]
}

// Reencode has Encoded encode the header again.
func (f *Frame) Reencode() { f.start = 0 }

func (f *Frame) encode() {
	var scratch [MaxHeader]byte
	h := AppendHeader(scratch[:0], &f.Header, len(f.Body))
	f.start = MaxHeader - len(h)
	copy(f.buf[f.start:], h)
}

// Size returns the number of bytes that the frame takes from a queue's quota. It is the
// frame's memory and not its length, so that many small frames cannot exceed the quota.
func (f *Frame) Size() int { return len(f.buf) + frameOverhead }

// frameOverhead is the approximate size of the struct.
const frameOverhead = 128

// TakeBody returns the body as memory that the caller owns. The frame must not be used
// afterwards.
func (f *Frame) TakeBody() []byte {
	if len(f.Body) == 0 {
		f.Release()
		return nil
	}
	if 2*len(f.Body) > len(f.buf) {
		// A copy would cost more than a new buffer for the pool.
		return f.Body[:len(f.Body):len(f.Body)]
	}
	b := make([]byte, len(f.Body))
	copy(b, f.Body)
	f.Release()
	return b
}
