package command

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

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

// input copies Stdin to the command.
type input struct {
	stopper stopper       // nil: Read cannot be interrupted
	done    chan struct{} // closed when the copy has ended

	mu  sync.Mutex
	err error // guarded by mu: with which Read failed
}

// A stopper is a reader whose Read can be made to return without a byte being
// lost.
type stopper interface {
	io.Reader
	stop()    // makes Read, under way or later, return errStopped; called once
	release() // is called when nothing is read any more
}

var errStopped = errors.New("the command has ended")

// copyInput starts the copying. A failure to write is no error: the command reads no more,
// or has ended, and that is reported in another way.
func copyInput(s *router.Stream, r io.Reader) *input {
	in := &input{done: make(chan struct{})}
	if f, ok := r.(*os.File); ok {
		// We read the file to its end by a descriptor of our own, as the command would. The
		// caller may close the file after Start.
		if in.stopper = newFileStopper(f); in.stopper != nil {
			r = in.stopper
		}
	}
	go func() {
		defer close(in.done)
		noted := &ErrorNoting{R: r}
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

// stop ends the copying, if Read can be interrupted, and returns the error of reading.
func (in *input) stop() error {
	if in.stopper != nil {
		in.stopper.stop()
		<-in.done
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.err
}
