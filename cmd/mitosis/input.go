package main

import (
	"errors"
	"io"
	"os"
	"sync"
)

// input is the standard input for several hosts: each gets all of it, whenever it begins. What
// has been read is kept in a file until the end, since nobody knows how much it is.
//
// Goroutine: fill reads until the end of the input or of the process. Nobody waits for it: a
// read of a terminal or a pipe may never return.
type input struct {
	file *os.File // nil: there is no input

	mu   sync.Mutex
	more sync.Cond
	size int64 // in the file; guarded by mu
	err  error // of the read; io.EOF at its end; guarded by mu
}

// newInput takes the standard input, unless that is a terminal, which several hosts can't share.
func newInput(none bool) (*input, error) {
	in := &input{err: io.EOF}
	in.more.L = &in.mu
	if _, err := os.Stdin.Stat(); none || err != nil || isTerminal(os.Stdin) {
		return in, nil
	}
	f, err := os.CreateTemp("", "mitosis-input-")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(f.Name()) // Windows: close does it
	in.file, in.err = f, nil
	go in.fill(os.Stdin)
	return in, nil
}

func (in *input) fill(r io.Reader) {
	b := make([]byte, 64<<10)
	for {
		n, err := r.Read(b)
		if n > 0 {
			if _, werr := in.file.WriteAt(b[:n], in.size); werr != nil {
				n, err = 0, werr
			}
		}
		in.mu.Lock()
		in.size += int64(n)
		in.err = err
		in.more.Broadcast()
		in.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// reader returns a reader of the whole input, nil if there is none.
func (in *input) reader() io.Reader {
	if in.file == nil {
		return nil
	}
	return &inputReader{in: in}
}

// close forgets the input.
func (in *input) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.err == nil {
		in.err = errors.New("nobody wants the input any more")
	}
	in.more.Broadcast()
	if in.file != nil {
		_ = in.file.Close()
		_ = os.Remove(in.file.Name())
	}
}

type inputReader struct {
	in *input
	at int64
}

// Read implements io.Reader.
func (r *inputReader) Read(b []byte) (int, error) {
	r.in.mu.Lock()
	for r.at == r.in.size && r.in.err == nil {
		r.in.more.Wait()
	}
	there, err := r.in.size-r.at, r.in.err
	r.in.mu.Unlock()
	if there == 0 {
		return 0, err
	}
	n, err := r.in.file.ReadAt(b[:min(int64(len(b)), there)], r.at)
	r.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}
