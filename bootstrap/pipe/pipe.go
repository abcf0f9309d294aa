// Package pipe reads and writes pairs of files, faster than package os where messages are
// small.
package pipe

import (
	"os"
	"syscall"
)

// A Pipe reads one file and writes another, or the same one. For small messages it is
// quicker than the files themselves. It does not own the files: their owner closes them,
// which unblocks Read and Write.
//
// The Go scheduler need not be told of a system call that cannot block. To tell it wakes the
// scheduler's monitor thread where the process was idle, which is the most expensive part of
// passing a small frame on. Reads and writes that have to wait do so in the poller, as
// usual.
type Pipe struct {
	in, out *os.File

	read  tryIO // owned by the one reader
	write tryIO // owned by the one writer
}

// tryIO is one end of a Pipe. It lives as long as the Pipe, so that a read or write
// allocates nothing.
type tryIO struct {
	conn syscall.RawConn // nil: not in non-blocking mode
	b    []byte
	n    int
	once func(fd uintptr) (done bool)
}

// New makes a Pipe of two files. They should be in non-blocking mode: otherwise a Pipe is as
// slow as the files, and TryWrite writes nothing.
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

// do returns the number of bytes that were moved. If it is zero, the file's own Read or Write
// finds the reason and returns it.
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

// TryWrite writes as many bytes as there is room for now, without waiting, and returns their
// number. It writes fewer than all where writing fails, too; Write reports the error. One
// goroutine at a time may call Write or TryWrite.
func (p *Pipe) TryWrite(b []byte) int {
	return p.write.do(b, syscall.RawConn.Write)
}

// Write implements io.Writer.
func (p *Pipe) Write(b []byte) (int, error) { return p.out.Write(b) }
