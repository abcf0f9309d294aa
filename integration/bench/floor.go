//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// partner is another process of this program at the other end of two pipes. The link of a local
// child is such a pair, so a partner shows the physical limit.
type partner struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.ReadCloser
}

func newPartner(ctx context.Context, args ...string) (*partner, error) {
	cmd, err := self(ctx, args...)
	if err != nil {
		return nil, err
	}
	return startPartner(cmd)
}

func startPartner(cmd *exec.Cmd) (p *partner, err error) {
	p = &partner{cmd: cmd}
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if p.out, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	return p, cmd.Start()
}

func (p *partner) close() error {
	p.in.Close()
	return p.cmd.Wait()
}

// servePong is the role "pong": it answers every byte with a byte.
func servePong(context.Context, []string) error {
	b := make([]byte, 1)
	for {
		if _, err := os.Stdin.Read(b); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if _, err := os.Stdout.Write(b); err != nil {
			return err
		}
	}
}

// A trip is one round trip of a byte between two processes, in microseconds: the time that it took,
// and the processor time of the far process alone.
type trip struct{ took, processor float64 }

// servePing is the role "ping": it makes a number of round trips of one byte to a "pong", and
// prints their mean.
func servePing(ctx context.Context, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	cpu, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var p *partner
	if err := onProcessors(func() (err error) {
		p, err = newPartner(ctx, "pong")
		return err
	}, cpu); err != nil {
		return err
	}
	b := make([]byte, 1)
	var began time.Time
	for i := range n + 1 {
		if i == 1 {
			began = time.Now() // the first trip included the partner's start
		}
		if _, err := p.in.Write(b); err != nil {
			return err
		}
		if _, err := p.out.Read(b); err != nil {
			return err
		}
	}
	took := micros(time.Since(began)) / float64(n)
	if err := p.close(); err != nil {
		return err
	}
	processor := micros(p.cmd.ProcessState.UserTime()+p.cmd.ProcessState.SystemTime()) / float64(n)
	_, err = fmt.Println(took, processor)
	return err
}

// pingPong runs a "ping" and a "pong", each bound to a processor. On a busy machine the kernel
// would put both on one, which changes the time by a factor of three or more. For programs that
// have work to do that would be no limit.
func pingPong(ctx context.Context, n, a, b int) (t trip, err error) {
	cmd, err := self(ctx, "ping", strconv.Itoa(n), strconv.Itoa(b))
	if err != nil {
		return t, err
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := onProcessors(cmd.Start, a); err != nil {
		return t, err
	}
	if err := cmd.Wait(); err != nil {
		return t, err
	}
	_, err = fmt.Sscan(out.String(), &t.took, &t.processor)
	return t, err
}

// serveZeros is the role "zeros": it writes a number of bytes to standard output.
func serveZeros(_ context.Context, args []string) error {
	var n int64
	if _, err := fmt.Sscan(args[0], &n); err != nil {
		return err
	}
	return writeZeros(os.Stdout, n)
}

// serveDrain is the role "drain": it reads to the end and prints a byte.
func serveDrain(context.Context, []string) error {
	if _, err := drain(os.Stdin); err != nil {
		return err
	}
	_, err := os.Stdout.Write([]byte("x"))
	return err
}

// sayHello is the role "hello": it writes one byte as soon as main runs.
func sayHello(context.Context, []string) error {
	_, err := os.Stdout.Write([]byte("x"))
	return err
}
