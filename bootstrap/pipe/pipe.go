package pipe

import (
	"os"
	"syscall"
)

// A Pipe reads one file and writes another, or the same one, in a way that is
// quicker than the files' own for small things that go to and fro. It does not
// own the files: whoever does closes them, which unblocks Read and Write.
//
// A system call that cannot block need not be announced to the Go scheduler.
// The announcement wakes the scheduler's monitor thread where the process was
// idle, as one that waits for a frame is: the most expensive part of passing a
// small frame on. What does wait, waits in the poller as it does elsewhere.
type Pipe struct {
	in, out *os.File

	read  tryIO // owned by the one reader
	write tryIO // owned by the one writer
}

// tryIO is one end in non-blocking mode. It lives as long as the Pipe so
// that nothing is allocated for a read or write.
type tryIO struct {
	conn syscall.RawConn // nil: not in non-blocking mode
	b    []byte
	n    int
	once func(fd uintptr) (done bool)
}

// New makes a Pipe of two files. They should be in non-blocking mode, or
// it only does what they do by themselves.
func New(in, out *os.File) *Pipe {
	p := &Pipe{in: in, out: out}
	p.read.init(in, func(fd uintptr) bool {
		var wait bool
		p.read.n, wait = readNow(fd, p.read.b)
		return !wait
	})
	p.write.init(out, func(fd uintptr) bool {
		p.write.n = writeNow(fd, p.write.b)
		return true
	})
	return p
}

func (a *tryIO) init(f *os.File, once func(uintptr) bool) {
	a.once = once
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		if isNonblocking(fd) {
			a.conn = conn
		}
	})
}

// run returns how many bytes were moved. Where that is none, the reason is
// found out by the file's own Read or Write, which knows how to say it.
func (a *tryIO) do(b []byte, call func(syscall.RawConn, func(uintptr) bool) error) int {
	if a.conn == nil || len(b) == 0 {
		return 0
	}
	a.b, a.n = b, 0
	err := call(a.conn, a.once)
	a.b = nil
	if err != nil {
		return 0
	}
	return max(a.n, 0)
}

// Read implements io.Reader. One goroutine at a time may call it.
func (p *Pipe) Read(b []byte) (int, error) {
	if n := p.read.do(b, syscall.RawConn.Read); n > 0 {
		return n, nil
	}
	return p.in.Read(b)
}

// TryWrite writes what there is room for now, without waiting, and returns how
// many bytes that was: less than all, and none, also where writing fails, which
// Write will report. One goroutine at a time may call Write or TryWrite.
func (p *Pipe) TryWrite(b []byte) int {
	return p.write.do(b, syscall.RawConn.Write)
}

// Write implements io.Writer.
func (p *Pipe) Write(b []byte) (int, error) { return p.out.Write(b) }
