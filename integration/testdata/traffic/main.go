// Command traffic puts load on a row of contexts below it, each the child of the one before, and
// prints the result as JSON. It is a program of its own because the race detector, with which the
// tests run, distorts memory and time. PATH is the hop path to the last context: see
// connect.ParsePath.
//
//	traffic PATH stalled N up   N streams are offered 1 GiB together, and not read; or down
//	traffic PATH bulk           calls while bulk goes both ways on the same links
//	traffic PATH rates TIME     a stream in each direction
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	_ "github.com/mitosis-go/mitosis/connect/all" // PATH may name any method
	"github.com/mitosis-go/mitosis/contexts"
)

const (
	mib          = 1 << 20
	countedBytes = 64 << 10
)

var (
	// process returns the process IDs of a context and its guard.
	process = contexts.NewFunc("traffic.process", func(context.Context, struct{}) ([]int, error) {
		return []int{os.Getpid(), os.Getppid()}, nil
	})
	empty = contexts.NewFunc("traffic.empty", func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil })

	// source sends n bytes.
	source = contexts.NewConnFunc("traffic.source", func(_ context.Context, c net.Conn, n int64) error {
		return writeZeros(c, n)
	})
	// hoard reads n bytes, answers with a byte, and reads no more.
	hoard = contexts.NewConnFunc("traffic.hoard", func(ctx context.Context, c net.Conn, n int64) error {
		if _, err := io.CopyN(io.Discard, c, n); err != nil {
			return err
		}
		if _, err := c.Write([]byte{0}); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
	// counter answers with a byte whenever countedBytes more have come.
	counter = contexts.NewConnFunc("traffic.counter", func(_ context.Context, c net.Conn, _ struct{}) error {
		for b := make([]byte, countedBytes); ; {
			if _, err := io.ReadFull(c, b); err != nil {
				return err
			}
			if _, err := c.Write(b[:1]); err != nil {
				return err
			}
		}
	})
	// echo returns all bytes that it gets.
	echo = contexts.NewConnFunc("traffic.echo", func(_ context.Context, c net.Conn, _ struct{}) error {
		_, err := io.Copy(c, c)
		return err
	})
)

func writeZeros(w io.Writer, n int64) error {
	zeros := make([]byte, 32<<10)
	for n > 0 {
		k, err := w.Write(zeros[:min(n, int64(len(zeros)))])
		if err != nil {
			return err
		}
		n -= int64(k)
	}
	return nil
}

func main() {
	contexts.Init()
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	if len(os.Args) < 3 {
		return errors.New("no role given")
	}
	hops, err := connect.ParsePath(os.Args[1])
	if err != nil {
		return err
	}
	self, err := contexts.Start(ctx, &contexts.Config{PackedDir: os.DevNull})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, self.Close()) }()
	row, err := divide(ctx, self, hops)
	if err != nil {
		return err
	}
	var result any
	switch os.Args[2] {
	case "stalled":
		n, err := strconv.Atoi(os.Args[3])
		if err != nil {
			return err
		}
		defer held.close()
		if result, err = stalled(ctx, row, n, os.Args[4] == "up"); err != nil {
			return err
		}
	case "bulk":
		beside, err := divide(ctx, self, hops)
		if err != nil {
			return err
		}
		if result, err = bulk(ctx, row[len(hops)], beside[len(hops)]); err != nil {
			return err
		}
	case "rates":
		d, err := time.ParseDuration(os.Args[3])
		if err != nil {
			return err
		}
		if result, err = rates(ctx, row[len(hops)], d); err != nil {
			return err
		}
	default:
		return fmt.Errorf("no role %q", os.Args[2])
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// divide makes a row of contexts. The result begins with self, below which it makes them.
func divide(ctx context.Context, self *contexts.Node, hops []connect.Method) ([]*contexts.Node, error) {
	row := []*contexts.Node{self}
	for i, hop := range hops {
		n, err := row[i].Connect(ctx, hop)
		if err != nil {
			return nil, err
		}
		row = append(row, n)
	}
	return row, nil
}
