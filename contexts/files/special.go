package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pipePoll is how often a named pipe is opened again until somebody reads it;
// the system does not tell when that is.
const pipePoll = 10 * time.Millisecond

// openSpecial opens a device or a named pipe to be written into. It waits until
// somebody reads the pipe, or the copy ends.
func (r *receiver) openSpecial(d *dir, base string, s *standing) (*temp, error) {
	for {
		f, err := openInto(d, base, s)
		if err == nil {
			return r.special(f, d), nil
		}
		if s.info.Mode()&fs.ModeNamedPipe == 0 || !errors.Is(err, syscall.ENXIO) {
			return nil, err
		}
		select {
		case <-r.conn.Done():
			return nil, err // the reason is the connection's
		case <-time.After(pipePoll):
		}
	}
}

func openInto(d *dir, base string, s *standing) (f *os.File, err error) {
	const flags = os.O_WRONLY | openCalmly | noControl
	if s.link {
		// It was named by the caller and may lead anywhere.
		f, err = os.OpenFile(d.name(base), flags, 0)
	} else {
		f, err = d.root.OpenFile(base, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Mode().Type() != s.info.Mode().Type() {
		err = errChanged
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

var errChanged = fmt.Errorf("%w: something else has its name now", fs.ErrInvalid)

// special makes a target of an open file that is not regular. Writes to it end
// when the connection does, as far as the system can interrupt them.
func (r *receiver) special(f *os.File, d *dir) *temp {
	t := &temp{f: f, d: d, way: intoSpecial}
	if f.SetWriteDeadline(time.Time{}) != nil {
		waitInWrites(f)
		return t
	}
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() { // until the file is released
		defer close(stopped)
		select {
		case <-r.conn.Done():
			_ = f.SetWriteDeadline(time.Unix(1, 0))
		case <-ended:
		}
	}()
	t.release = func() { close(ended); <-stopped }
	return t
}

// openDescriptor opens a descriptor of this process, which the target's name
// stands for, to be written to from where it is.
func (r *receiver) openDescriptor(n int) (*temp, error) {
	if !r.descriptors {
		return nil, fmt.Errorf("%w: it is a descriptor of a process that is not yours", fs.ErrInvalid)
	}
	if r.o.NoSpecial {
		return nil, fmt.Errorf("%w: it is a descriptor", fs.ErrInvalid)
	}
	if r.o.NoReplace {
		return nil, fs.ErrExist
	}
	f, err := duplicate(n, r.target)
	if err != nil {
		return nil, err
	}
	return r.special(f, r.top), nil
}

// descriptorOf returns the number of the descriptor that a path stands for.
func descriptorOf(path string) (n int, ok bool) {
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

// zeros writes n zeros: devices and pipes have no holes.
func zeros(f *os.File, n int64) error {
	b := make([]byte, min(n, blockSize))
	for n > 0 {
		m, err := f.Write(b[:min(n, blockSize)])
		if err != nil {
			return err
		}
		n -= int64(m)
	}
	return nil
}
