package command

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/mitosis-go/mitosis/internal/descriptor"
	"github.com/mitosis-go/mitosis/router"
)

// output takes one output of the process to the caller.
type output struct {
	// Immutable.
	src   *os.File
	dst   *router.Stream // nil: it is discarded
	idle  *time.Timer    // nil: the command may be silent
	after time.Duration  // when idle fires
	done  chan struct{}  // closed when pump returns
}

// pump copies to the end, and tells the caller by the end of the stream whether
// that was the end of the output.
func (o *output) pump() {
	defer close(o.done)
	var dst io.Writer = io.Discard
	if o.dst != nil {
		dst = o.dst
	}
	_, err := io.Copy(dst, o)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = o.rest(dst)
	}
	// A writer that goes on finds the output closed.
	_ = o.src.Close()
	switch {
	case o.dst == nil:
	case err == nil:
		o.dst.Close()
	default:
		o.dst.Reset(err)
	}
}

// Read reads from the process.
func (o *output) Read(b []byte) (int, error) {
	n, err := o.src.Read(b)
	if n > 0 && o.idle != nil {
		o.idle.Reset(o.after)
	}
	if err != nil && descriptor.IsTerminalEnd(err) {
		err = io.EOF
	}
	return n, err
}

// maxRest bounds the bytes that are read when the time is over. It is more than a pipe holds
// by default, so that all bytes which the process has written itself are read.
const maxRest = 1 << 20

// rest copies the bytes that are in the pipe, and does not wait for more.
func (o *output) rest(dst io.Writer) error {
	_ = o.src.SetReadDeadline(time.Time{})
	b := make([]byte, 64<<10)
	for total := 0; total < maxRest; {
		n, err := descriptor.ReadNow(o.src, b)
		if n > 0 {
			total += n
			if _, err := dst.Write(b[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil || n == 0 {
			break
		}
	}
	return exec.ErrWaitDelay
}

// isClosedChan reports whether a channel on which nothing is sent is closed.
func isClosedChan(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// An ErrorNoting tells failures to read from failures to write.
type ErrorNoting struct {
	R   io.Reader
	Err error // the error of Read, other than its end
}

// Read implements io.Reader.
func (e *ErrorNoting) Read(b []byte) (int, error) {
	n, err := e.R.Read(b)
	if err != nil && err != io.EOF {
		e.Err = err
	}
	return n, err
}
