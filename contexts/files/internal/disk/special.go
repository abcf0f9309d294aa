package disk

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// PipePoll is how often a named pipe is opened again until a process reads it, as the
// system does not tell when that is.
const PipePoll = 10 * time.Millisecond

// OpenSpecial opens a device or a named pipe to be written into. It waits until a
// process reads the pipe, or done is closed: then it is syscall.ENXIO.
func OpenSpecial(d *Dir, base string, s *Standing, done <-chan struct{}) (*Output, error) {
	for {
		f, err := openInto(d, base, s)
		if err == nil {
			return intoSpecial(f, d, done), nil
		}
		if s.Info.Mode()&fs.ModeNamedPipe == 0 || !errors.Is(err, syscall.ENXIO) {
			return nil, err
		}
		select {
		case <-done:
			return nil, err
		case <-time.After(PipePoll):
		}
	}
}

func openInto(d *Dir, base string, s *Standing) (f *os.File, err error) {
	const flags = os.O_WRONLY | NoWait | NoControl
	if s.Symlink {
		// It was named by the caller and may lead anywhere.
		f, err = os.OpenFile(d.name(base), flags, 0)
	} else {
		f, err = d.Root.OpenFile(base, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Mode().Type() != s.Info.Mode().Type() {
		err = ErrChanged
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// intoSpecial makes an output of an open file that is not regular. Writes to it fail
// when done is closed, as far as the system can interrupt them.
func intoSpecial(f *os.File, d *Dir, done <-chan struct{}) *Output {
	t := &Output{File: f, Dir: d, Placement: IntoSpecial}
	if f.SetWriteDeadline(time.Time{}) != nil {
		waitInWrites(f)
		return t
	}
	closed, ended := make(chan struct{}), make(chan struct{})
	go func() { // until Close, which waits for it
		defer close(ended)
		select {
		case <-done:
			_ = f.SetWriteDeadline(time.Unix(1, 0))
		case <-closed:
		}
	}()
	t.release = func() { close(closed); <-ended }
	return t
}

// OpenDescriptor opens a descriptor of this process, to be written to from its present
// place. The name is for messages. See OpenSpecial for done.
func OpenDescriptor(n int, name string, d *Dir, done <-chan struct{}) (*Output, error) {
	f, err := duplicate(n, name)
	if err != nil {
		return nil, err
	}
	return intoSpecial(f, d, done), nil
}

// DescriptorOf returns the number of the descriptor that a path such as /dev/stdout
// stands for.
func DescriptorOf(path string) (n int, ok bool) {
	switch path {
	case "/dev/stdin":
		return 0, true
	case "/dev/stdout":
		return 1, true
	case "/dev/stderr":
		return 2, true
	}
	for _, dir := range []string{"/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/", "/proc/" + strconv.Itoa(os.Getpid()) + "/fd/"} {
		if name, below := strings.CutPrefix(path, dir); below {
			n, err := strconv.Atoi(name)
			return n, err == nil && n >= 0
		}
	}
	return 0, false
}
