package contexts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/contexts/internal/command"
	"github.com/mitosis-go/mitosis/router"
)

// shortInput reads an input that is in memory and short, so that it can travel
// with the request.
func shortInput(r io.Reader) ([]byte, bool) {
	var size int
	switch r := r.(type) {
	case *bytes.Buffer:
		size = r.Len()
	case *bytes.Reader:
		size = r.Len()
	case *strings.Reader:
		size = r.Len()
	default:
		return nil, false
	}
	if size > inlineInput {
		return nil, false
	}
	b := make([]byte, size)
	_, err := io.ReadFull(r, b)
	return b, err == nil
}

// commandInput copies Stdin to the command.
type commandInput struct {
	stopper stopper       // nil: Read cannot be interrupted
	done    chan struct{} // closed when the copy has ended

	mu  sync.Mutex
	err error // guarded by mu: what Read failed with
}

// A stopper is a reader whose Read can be made to return without a byte being
// lost.
type stopper interface {
	io.Reader
	stop()    // makes Read, under way or later, return errStopped; called once
	release() // is called when nothing is read any more
}

var errStopped = errors.New("the command has ended")

// copyInput starts the copying. A failure to write is no error: the command
// does not want to read any more, or has ended, and says itself how.
func copyInput(s *router.Stream, r io.Reader) *commandInput {
	in := &commandInput{done: make(chan struct{})}
	if f, ok := r.(*os.File); ok {
		// The file is ours to read until the end, as if the command had it:
		// whoever closes his own descriptor after Start loses nothing.
		if in.stopper = newFileStopper(f); in.stopper != nil {
			r = in.stopper
		}
	}
	go func() {
		defer close(in.done)
		noted := &command.ErrorNoting{R: r}
		_, err := io.Copy(s, noted)
		if in.stopper != nil {
			in.stopper.release()
		}
		switch {
		case err == nil:
			_ = s.CloseWrite()
		case noted.Err != nil && noted.Err != errStopped:
			in.mu.Lock()
			in.err = fmt.Errorf("reading its standard input: %w", noted.Err)
			in.mu.Unlock()
			s.Reset(noted.Err)
		}
	}()
	return in
}

// endInput ends the copying of Stdin once the command has ended, and returns
// the error of reading, if there was one.
func (r *commandRun) endInput() error {
	if r.stdin == nil {
		return nil
	}
	r.stdin.Close()
	if r.input == nil {
		return nil
	}
	if r.input.stopper != nil {
		r.input.stopper.stop()
		<-r.input.done
	}
	r.input.mu.Lock()
	defer r.input.mu.Unlock()
	return r.input.err
}

// commandPipe is the caller's end of a standard stream for which there is no reader
// or writer. Until Start, everything but Close waits.
type commandPipe struct {
	s     *router.Stream // set by Start, before ready is closed
	err   error          // set by Start if that failed
	ready chan struct{}  // closed by open or Close
	once  sync.Once
}

// open makes the pipe usable, or tells why it never will be.
func (p *commandPipe) open(err error) {
	p.once.Do(func() {
		p.err = err
		close(p.ready)
	})
}

func (p *commandPipe) stream() (*router.Stream, error) {
	<-p.ready
	if p.err != nil {
		return nil, p.err
	}
	return p.s, nil
}

func (p *commandPipe) Read(b []byte) (int, error) {
	s, err := p.stream()
	if err != nil {
		return 0, err
	}
	return s.Read(b)
}

func (p *commandPipe) Write(b []byte) (int, error) {
	s, err := p.stream()
	if err != nil {
		return 0, err
	}
	return s.Write(b)
}

// SetDeadline bounds Read and Write once the command was started.
func (p *commandPipe) SetDeadline(t time.Time) error {
	s, err := p.stream()
	if err != nil {
		return err
	}
	return s.SetDeadline(t)
}

// Close closes the command's end of an output, and ends its input.
func (p *commandPipe) Close() error {
	p.open(os.ErrClosed)
	if p.err == nil {
		return p.s.Close()
	}
	return nil
}

// inputPipe is a commandPipe whose Close is the end of the file.
type inputPipe struct{ *commandPipe }

func (p inputPipe) Close() error {
	p.open(os.ErrClosed)
	if p.err == nil {
		return p.s.CloseWrite()
	}
	return nil
}

func (c *Command) pipe(taken bool, name string) (*commandPipe, error) {
	switch {
	case taken:
		return nil, c.wrap(errors.New(name + " is set already"))
	case c.started.Load():
		return nil, c.wrap(errors.New(name + "Pipe was called after Start"))
	}
	p := &commandPipe{ready: make(chan struct{})}
	c.pipes = append(c.pipes, p)
	return p, nil
}

// StdinPipe returns a pipe to the command's standard input. Writing waits until
// the command is started, and then for the command to read. Close ends the
// input; so does Wait, once the command has ended.
func (c *Command) StdinPipe() (io.WriteCloser, error) {
	p, err := c.pipe(c.Stdin != nil || c.pipedIn != nil, "Stdin")
	if err != nil {
		return nil, err
	}
	c.pipedIn = p
	return inputPipe{p}, nil
}

// StdoutPipe returns a pipe from the command's standard output. Its final error
// is io.EOF only if all that was printed has been read. It has to be read
// before Wait, which closes it. The pipe has a SetDeadline.
func (c *Command) StdoutPipe() (io.ReadCloser, error) {
	p, err := c.pipe(c.Stdout != nil, "Stdout")
	if err != nil {
		return nil, err
	}
	c.Stdout = p
	return p, nil
}

// StderrPipe is StdoutPipe for the standard error.
func (c *Command) StderrPipe() (io.ReadCloser, error) {
	p, err := c.pipe(c.Stderr != nil, "Stderr")
	if err != nil {
		return nil, err
	}
	c.Stderr = p
	return p, nil
}

// The size of a terminal that does not say its own.
const defaultRows, defaultCols = 24, 80

func (p *Pty) wire() (*command.Pty, error) {
	w := &command.Pty{Rows: defaultRows, Cols: defaultCols, Term: []byte(p.Term)}
	if min(p.Rows, p.Cols) < 0 || max(p.Rows, p.Cols) > math.MaxUint16 {
		return nil, fmt.Errorf("%w: no terminal has %d rows and %d columns", os.ErrInvalid, p.Rows, p.Cols)
	}
	if p.Rows > 0 {
		w.Rows = uint16(p.Rows)
	}
	if p.Cols > 0 {
		w.Cols = uint16(p.Cols)
	}
	if p.Term == "" {
		if w.Term = []byte(os.Getenv("TERM")); len(w.Term) == 0 {
			w.Term = []byte("xterm")
		}
	}
	return w, noNUL("TERM", string(w.Term))
}
