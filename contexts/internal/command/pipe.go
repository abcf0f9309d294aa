package command

import (
	"os"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/router"
)

// A Pipe is the caller's end of a standard stream for which there is no reader or
// writer. Until Settle, everything but Close waits.
type Pipe struct {
	s     *router.Stream // set by Open, before ready is closed
	err   error          // set by Settle if the command was not started
	ready chan struct{}  // closed by Settle or Close
	once  sync.Once
}

// NewPipe makes a pipe of a command that has not been started.
func NewPipe() *Pipe { return &Pipe{ready: make(chan struct{})} }

// Settle makes the pipe usable, or tells why it never will be. A pipe that the caller
// closed before ends its stream now.
func (p *Pipe) Settle(err error) {
	p.settle(err)
	if err == nil && p.err != nil {
		p.s.Close()
	}
}

func (p *Pipe) settle(err error) {
	p.once.Do(func() {
		p.err = err
		close(p.ready)
	})
}

func (p *Pipe) stream() (*router.Stream, error) {
	<-p.ready
	if p.err != nil {
		return nil, p.err
	}
	return p.s, nil
}

// Read implements io.Reader.
func (p *Pipe) Read(b []byte) (int, error) {
	s, err := p.stream()
	if err != nil {
		return 0, err
	}
	return s.Read(b)
}

// Write implements io.Writer.
func (p *Pipe) Write(b []byte) (int, error) {
	s, err := p.stream()
	if err != nil {
		return 0, err
	}
	return s.Write(b)
}

// SetDeadline bounds Read and Write once the command was started.
func (p *Pipe) SetDeadline(t time.Time) error {
	s, err := p.stream()
	if err != nil {
		return err
	}
	return s.SetDeadline(t)
}

// Close closes the command's end of an output, and ends its input.
func (p *Pipe) Close() error {
	p.settle(os.ErrClosed)
	if p.err == nil {
		return p.s.Close()
	}
	return nil
}

// InputPipe is a Pipe whose Close is the end of the file.
type InputPipe struct{ *Pipe }

// Close ends the command's input.
func (p InputPipe) Close() error {
	p.settle(os.ErrClosed)
	if p.err == nil {
		return p.s.CloseWrite()
	}
	return nil
}
