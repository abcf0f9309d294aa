package logs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/mitosis-go/mitosis/internal/descriptor"
)

// Output makes records of the lines that this context prints, and processes that inherited
// its standard output and error. It has one goroutine, until Stop or until the process
// exits.
type Output struct {
	pipe   *os.File
	sender *Sender
	done   chan struct{} // closed by forward

	ending bool // owned by forward: Stop has been called
}

// ForwardOutput starts to make records of the lines that come out of a pipe.
func ForwardOutput(pipe *os.File, sender *Sender) *Output {
	o := &Output{pipe: pipe, sender: sender, done: make(chan struct{})}
	go o.forward()
	return o
}

func (o *Output) forward() {
	defer close(o.done)
	lines := lineReader{r: o, max: maxLine}
	for {
		line, err := lines.next()
		if len(line) > 0 {
			o.sender.output(line)
		}
		if err != nil {
			return
		}
	}
}

// Stop lets forward read the lines that are in the pipe, and no more. It waits until these
// and all other records are on their way. It is called once.
func (o *Output) Stop(ctx context.Context) {
	if o.pipe.SetReadDeadline(time.Unix(1, 0)) == nil {
		select {
		case <-o.done:
		case <-ctx.Done():
		}
	}
	o.sender.Flush(ctx)
}

// Read waits for output until Stop is called. Then it reads the bytes that are in the pipe.
func (o *Output) Read(b []byte) (int, error) {
	if !o.ending {
		n, err := o.pipe.Read(b)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		o.ending = true
		if err := o.pipe.SetReadDeadline(time.Time{}); err != nil {
			return 0, err
		}
	}
	n, err := descriptor.ReadNow(o.pipe, b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// lineReader cuts a byte stream into lines of at most max bytes; longer ones
// come in pieces. A last line without an end is a line.
type lineReader struct {
	r   io.Reader
	max int
	br  *bufio.Reader
}

func (l *lineReader) next() ([]byte, error) {
	if l.br == nil {
		l.br = bufio.NewReaderSize(l.r, l.max)
	}
	line, err := l.br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		err = nil
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), err
}
