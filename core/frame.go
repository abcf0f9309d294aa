package core

import "sync"

// Frame is one frame with room for its encoded form, so that it is read and
// forwarded without being decoded or copied again. Frames come from pools:
// who gets one owns it and either passes it on or calls Release.
type Frame struct {
	Header
	Body []byte // part of the frame's own memory; gone after Release

	// Next links frames to a queue. It belongs to whoever owns the frame.
	Next *Frame

	buf   []byte // MaxHeader bytes for the header, right-aligned, then the body
	start int    // where the encoded form begins in buf; 0: not encoded yet
	class int
}

// The pools hold frames for bodies of up to so many bytes. Most frames are
// small calls or full frames of bulk data. In between a frame is at most twice as
// large as it must be: quotas count its memory, and credit, which is to keep
// honest traffic within them, counts bodies.
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

// Encoded returns the frame as it is on the wire. The header must not be
// changed afterwards without a call of Reencode.
func (f *Frame) Encoded() []byte {
	if f.start == 0 {
		f.encode()
	}
	return f.buf[f.start : MaxHeader+len(f.Body)]
}

// Reencode makes Encoded see a changed header.
func (f *Frame) Reencode() { f.start = 0 }

func (f *Frame) encode() {
	var scratch [MaxHeader]byte
	h := AppendHeader(scratch[:0], &f.Header, len(f.Body))
	f.start = MaxHeader - len(h)
	copy(f.buf[f.start:], h)
}

// Size is what the frame takes from a queue's quota, in bytes: its memory
// rather than its length, so that many small frames cannot exceed the quota
// by a factor.
func (f *Frame) Size() int { return len(f.buf) + frameOverhead }

// frameOverhead is the size of the struct, about.
const frameOverhead = 128

// TakeBody returns the body as memory that the caller owns, and releases the
// frame.
func (f *Frame) TakeBody() []byte {
	if len(f.Body) == 0 {
		f.Release()
		return nil
	}
	if 2*len(f.Body) > len(f.buf) {
		// Copying would cost more than what another buffer costs the pool.
		return f.Body[:len(f.Body):len(f.Body)]
	}
	b := make([]byte, len(f.Body))
	copy(b, f.Body)
	f.Release()
	return b
}
