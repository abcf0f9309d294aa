//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
)

// streamBytes is the number of bytes that are moved in one round.
func streamBytes() int64 {
	if quick {
		return 32 << 20
	}
	return 256 << 20
}

// download reads n bytes that a context sends.
func download(ctx context.Context, on *contexts.Node, n int64) (float64, error) {
	began := time.Now()
	c, err := source.Dial(ctx, on, n)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if got, err := drain(c); err != nil || got != n {
		return 0, fmt.Errorf("%d of %d bytes: %w", got, n, err)
	}
	return megabytes(n, time.Since(began)), nil
}

// upload sends n bytes and waits until the context has read them all.
func upload(ctx context.Context, on *contexts.Node, n int64, send func(net.Conn) error) (float64, error) {
	began := time.Now()
	c, err := sink.Dial(ctx, on, struct{}{})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := send(c); err != nil {
		return 0, err
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return 0, err
	}
	var got int64
	if err := binary.Read(c, binary.BigEndian, &got); err != nil {
		return 0, err
	}
	if got != n {
		return 0, fmt.Errorf("%d of %d bytes arrived", got, n)
	}
	return megabytes(n, time.Since(began)), nil
}

// bothWays moves n bytes to a context and as many from there at the same time.
func bothWays(ctx context.Context, on *contexts.Node, n int64) error {
	up := make(chan error, 1)
	go func() { // until n bytes are there
		_, err := upload(ctx, on, n, func(c net.Conn) error { return writeZeros(c, n) })
		up <- err
	}()
	_, err := download(ctx, on, n)
	return errors.Join(err, <-up)
}

// copyDown is like download, and copyUp like upload, over a bare pipe.
func copyDown(ctx context.Context, n int64) (float64, error) {
	p, err := newPartner(ctx, "zeros", fmt.Sprint(n))
	if err != nil {
		return 0, err
	}
	first := make([]byte, 1) // with it the process has started, and the clock begins
	if _, err := p.out.Read(first); err != nil {
		return 0, err
	}
	began := time.Now()
	if _, err := drain(p.out); err != nil {
		return 0, err
	}
	took := time.Since(began)
	return megabytes(n, took), p.close()
}

func copyUp(ctx context.Context, n int64) (float64, error) {
	p, err := newPartner(ctx, "drain")
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := writeZeros(p.in, n); err != nil {
		return 0, err
	}
	p.in.Close()
	if _, err := p.out.Read(make([]byte, 1)); err != nil {
		return 0, err
	}
	took := time.Since(began)
	return megabytes(n, took), p.cmd.Wait()
}

// streamRows returns the rows on streams over a local hop.
func streamRows(ctx context.Context) (rows []row, err error) {
	master, err := start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, master.Close()) }()
	child, err := master.Connect(ctx, local.Child{})
	if err != nil {
		return nil, err
	}
	n := streamBytes()
	down := &subject{name: "stream down", measure: func(ctx context.Context) (float64, error) { return download(ctx, child, n) }}
	up := &subject{name: "stream up", measure: func(ctx context.Context) (float64, error) {
		return upload(ctx, child, n, func(c net.Conn) error { return writeZeros(c, n) })
	}}
	bareDown := &subject{name: "pipe down", measure: func(ctx context.Context) (float64, error) { return copyDown(ctx, n) }}
	bareUp := &subject{name: "pipe up", measure: func(ctx context.Context) (float64, error) { return copyUp(ctx, n) }}
	if err := inTurns(ctx, rounds(7), down, bareDown, up, bareUp); err != nil {
		return nil, err
	}
	const limitIs = "copy over a bare pipe"
	rows = append(rows,
		row{What: "stream from a local child", Unit: "MB/s", Measured: down.results.median(), Limit: bareDown.results.median(), LimitIs: limitIs, Factor: 0.5, AtLeast: true},
		row{What: "stream to a local child", Unit: "MB/s", Measured: up.results.median(), Limit: bareUp.results.median(), LimitIs: limitIs, Factor: 0.5, AtLeast: true},
	)

	idle := calls("idle", child, 200)
	busyDown := duringBulk("call during a download", child, func(ctx context.Context) error {
		_, err := download(ctx, child, 64<<20)
		return err
	})
	busyUp := duringBulk("call during an upload", child, func(ctx context.Context) error {
		_, err := upload(ctx, child, 64<<20, func(c net.Conn) error { return writeZeros(c, 64<<20) })
		return err
	})
	busyBoth := duringBulk("call during bulk both ways", child, func(ctx context.Context) error { return bothWays(ctx, child, 64<<20) })
	if err := inTurns(ctx, rounds(9), idle, busyDown, busyUp, busyBoth); err != nil {
		return rows, err
	}
	for _, s := range []*subject{busyDown, busyUp, busyBoth} {
		rows = append(rows, row{What: s.name + " on the same link", Unit: "us", Measured: s.results.median(),
			Limit: idle.results.median(), LimitIs: "the same on an idle link", Factor: 5})
	}
	stalled, err := stalledRow(ctx)
	if err != nil {
		return rows, err
	}
	return append(rows, stalled), nil
}

// duringBulk measures the median of single calls while bulk runs again and
// again.
func duringBulk(name string, on *contexts.Node, bulk func(context.Context) error) *subject {
	return &subject{name: name, measure: func(ctx context.Context) (float64, error) {
		stop := make(chan struct{})
		ended := make(chan error, 1)
		go func() { // until stop is closed
			for {
				select {
				case <-stop:
					ended <- nil
					return
				default:
				}
				if err := bulk(ctx); err != nil {
					ended <- err
					return
				}
			}
		}()
		time.Sleep(10 * time.Millisecond) // by then the window has opened
		var s series
		var err error
		for range 200 {
			var v float64
			if v, err = callTime(ctx, on, 1); err != nil {
				break
			}
			s = append(s, v)
		}
		close(stop)
		return s.median(), errors.Join(err, <-ended)
	}}
}
