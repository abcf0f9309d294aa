//go:build unix

package pipe

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"
)

// newTestPipe makes a Pipe that reads what it writes.
func newTestPipe(t *testing.T) *Pipe {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); out.Close() })
	return New(in, out)
}

// fill writes until nothing more fits and returns how much that was.
func fill(p *Pipe, size int) (total int) {
	for chunk := make([]byte, size); ; {
		n := p.TryWrite(chunk)
		total += n
		if n < len(chunk) {
			return total
		}
	}
}

func TestTryWriteStopsWhereThePipeIsFull(t *testing.T) {
	for _, size := range []int{1, 1000, 4096, 5000, 100_000} {
		p := newTestPipe(t)
		total := fill(p, size)
		if total < 4096 {
			t.Errorf("%d at a time: %d bytes", size, total)
		}
		// Write waits for room where TryWrite does not.
		written := make(chan error, 1)
		go func() { _, err := p.Write(make([]byte, 200_000)); written <- err }()
		n, err := io.CopyN(io.Discard, p, int64(total)+200_000)
		if err != nil || n != int64(total)+200_000 {
			t.Errorf("%d at a time: read %d of %d, %v", size, n, total+200_000, err)
		}
		if err := <-written; err != nil {
			t.Error(err)
		}
		if p.TryWrite([]byte("again")) != 5 {
			t.Error("an empty pipe takes nothing")
		}
	}
}

func TestPipeCarriesWhatIsWritten(t *testing.T) {
	p := newTestPipe(t)
	var sent bytes.Buffer
	go func() {
		for i := range 300 {
			b := bytes.Repeat([]byte{byte(i)}, 7*i)
			sent.Write(b)
			if n := p.TryWrite(b); n < len(b) {
				_, _ = p.Write(b[n:])
			}
		}
		p.out.Close()
	}()
	got, err := io.ReadAll(p)
	if err != nil || !bytes.Equal(got, sent.Bytes()) {
		t.Errorf("%d bytes of %d, %v", len(got), sent.Len(), err)
	}
}

func TestPipeReportsTheEnd(t *testing.T) {
	p := newTestPipe(t)
	// Nobody reads any more.
	p.in.Close()
	if n := p.TryWrite([]byte("x")); n != 0 {
		t.Errorf("TryWrite without a reader wrote %d bytes, want none", n)
	}
	if _, err := p.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("Write without a reader: %v, want EPIPE", err)
	}
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read of a closed file: %v, want os.ErrClosed", err)
	}
	p.out.Close()
	if n := p.TryWrite([]byte("x")); n != 0 {
		t.Errorf("TryWrite to a closed file wrote %d bytes, want none", n)
	}
	if _, err := p.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Write to a closed file: %v, want os.ErrClosed", err)
	}
}

func TestPipeReadEndsWithItsFileOrDeadline(t *testing.T) {
	p := newTestPipe(t)
	read := make(chan error)
	look := func() { _, err := p.Read(make([]byte, 1)); read <- err }
	go look()
	_ = p.in.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read after its deadline: %v, want os.ErrDeadlineExceeded", err)
	}
	_ = p.in.SetReadDeadline(time.Time{})
	go look()
	p.in.Close()
	if err := <-read; !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read of a file that was closed meanwhile: %v, want os.ErrClosed", err)
	}
}

// TestPipeInBlockingModeIsNotTried: a write to it could wait.
func TestPipeInBlockingModeIsNotTried(t *testing.T) {
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	in, out := os.NewFile(uintptr(fds[0]), "in"), os.NewFile(uintptr(fds[1]), "out")
	defer in.Close()
	p := New(in, out)
	if n := p.TryWrite([]byte("x")); n != 0 {
		t.Errorf("TryWrite in blocking mode wrote %d bytes, want none", n)
	}
	if _, err := p.Write([]byte("hello")); err != nil {
		t.Error(err)
	}
	out.Close()
	if got, err := io.ReadAll(p); string(got) != "hello" || err != nil {
		t.Errorf("read %q, %v; want what Write wrote", got, err)
	}
}
