package router

import "github.com/mitosis-go/mitosis/core"

// newFrame returns a frame with a copy of the body. The caller owns it.
func newFrame(h core.Header, body []byte) *core.Frame {
	f := core.NewFrame(len(body))
	copy(f.Body, body)
	f.Header = h
	return f
}

// control makes a frame from the local context to the peer of the link.
func (l *Link) control(h core.Handle, body []byte) *core.Frame {
	self := l.r.self
	return newFrame(core.Header{Dst: l.peer, Src: self, Auth: self, Handle: h}, body)
}
