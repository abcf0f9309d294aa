//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// Functions that children have, besides those of package work.
var (
	// process returns the pids of a context: of itself and of its guard.
	process = contexts.NewFunc("bench.process", func(context.Context, struct{}) ([]int, error) {
		return []int{os.Getpid(), os.Getppid()}, nil
	})

	// processor returns the processor time that a context has used so far.
	processor = contexts.NewFunc("bench.processor", func(context.Context, struct{}) (time.Duration, error) {
		var u syscall.Rusage
		err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
	})

	// source sends n zero bytes.
	source = contexts.NewConnFunc("bench.source", func(_ context.Context, c net.Conn, n int64) error {
		return writeZeros(c, n)
	})

	// sink reads to the end and answers with the number of bytes.
	sink = contexts.NewConnFunc("bench.sink", func(_ context.Context, c net.Conn, _ struct{}) error {
		n, err := drain(c)
		if err != nil {
			return err
		}
		return binary.Write(c, binary.BigEndian, n)
	})
)

// block is the size of each Read and Write here, for our streams and for the pipes that they are
// compared with. It is io.Copy's own default.
const block = 32 << 10

func writeZeros(w io.Writer, n int64) error {
	zeros := make([]byte, block)
	for n > 0 {
		k, err := w.Write(zeros[:min(n, block)])
		if err != nil {
			return err
		}
		n -= int64(k)
	}
	return nil
}

func drain(r io.Reader) (n int64, err error) {
	b := make([]byte, block)
	for {
		k, err := r.Read(b)
		n += int64(k)
		if errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}
