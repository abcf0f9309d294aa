package contexts

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// output is what this context, and processes that inherited its standard
// output and error, have printed. One goroutine makes records of it, until end or
// until the process exits.
type output struct {
	pipe   *os.File
	sender *logSender
	done   chan struct{} // closed by forward

	ending bool // owned by forward: end has been called
}

func forwardOutput(pipe *os.File, sender *logSender) *output {
	o := &output{pipe: pipe, sender: sender, done: make(chan struct{})}
	go o.forward()
	return o
}

func (o *output) forward() {
	defer close(o.done)
	lines := lineReader{r: o, max: maxOutputLine}
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

// end lets forward read what is in the pipe and no more, and waits until that,
// and all other records, are on their way. It is called once.
func (o *output) end(ctx context.Context) {
	if o.pipe.SetReadDeadline(time.Unix(1, 0)) == nil {
		select {
		case <-o.done:
		case <-ctx.Done():
		}
	}
	o.sender.flush(ctx)
}

// Read waits, until end is called. Then it takes what is there.
func (o *output) Read(b []byte) (int, error) {
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
	n, err := readNow(o.pipe, b)
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
