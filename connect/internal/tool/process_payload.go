//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd || solaris

package tool

import (
	"errors"
	"io"
	"strings"
	"syscall"
)

func (p *process) Read(b []byte) (int, error) {
	if p.pipe != nil {
		n, err := p.pipe.Read(b)
		if n > 0 && !p.hasBegun.Load() {
			if IsClosed(p.ready) {
				p.hasBegun.Store(true)
			} else {
				_, _ = p.early.Write(b[:n])
			}
		}
		return n, err
	}
	n, err := p.term.Read(b)
	if n > 0 && !p.isRaw.Load() {
		_, _ = p.shown.Write(b[:n])
		p.dialogue.feed(b[:n])
	}
	if errors.Is(err, syscall.EIO) {
		err = io.EOF // nobody has the other side open any more
	}
	return n, err
}

func (p *process) Write(b []byte) (int, error) {
	if p.pipe != nil {
		return p.pipe.Write(b)
	}
	if !p.isRaw.Load() {
		if strings.Trim(string(b), "\n") == "" {
			return len(b), nil // meant for a login profile that reads; here it would answer a prompt
		}
		if err := p.term.raw(); err != nil {
			return 0, err
		}
		p.isRaw.Store(true)
	}
	return p.term.Write(b)
}

// TryWrite writes as much as the pipe has room for, without waiting: see [pipe.Pipe]. For
// a terminal this would gain nothing.
func (p *process) TryWrite(b []byte) int {
	if p.pipe == nil {
		return 0
	}
	return p.pipe.TryWrite(b)
}
