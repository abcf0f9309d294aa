//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/integration/bench/work"
)

// startRows are the rows on what a start costs, in time and in bytes, and on
// what is then there.
func startRows(ctx context.Context) (rows []row, err error) {
	master, err := start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, master.Close()) }()

	child := &subject{name: "local child", measure: func(ctx context.Context) (float64, error) {
		began := time.Now()
		n, err := master.Connect(ctx, local.Child{})
		if err != nil {
			return 0, err
		}
		_, err = work.Empty.Call(ctx, n, struct{}{})
		took := millis(time.Since(began))
		return took, errors.Join(err, n.Close())
	}}
	bare := &subject{name: "bare process", measure: func(ctx context.Context) (float64, error) {
		began := time.Now()
		p, err := newPartner(ctx, "hello")
		if err != nil {
			return 0, err
		}
		_, err = p.out.Read(make([]byte, 1))
		took := millis(time.Since(began))
		return took, errors.Join(err, p.close())
	}}
	if err := inTurns(ctx, rounds(15), child, bare); err != nil {
		return nil, err
	}
	rows = append(rows, row{
		What: "local child, to its first answer", Unit: "ms", Measured: child.results.median(),
		Limit: bare.results.median(), LimitIs: "the same program, to its first byte", Plus: 15,
	})

	line := bootstrap.NewLaunch(bootstrap.Options{Label: "ssh:deploy@server"}).Line()
	rows = append(rows, row{What: "first stage", Unit: "bytes", Measured: float64(len(line)), Plus: 1024})
	size, err := imageRow(ctx)
	if err != nil {
		return rows, err
	}
	idle, err := idleRows(ctx, master)
	return append(append(rows, size), idle...), err
}

// imageRow packs the first example as it would be sent. This program itself
// holds the lab and its test hosts besides.
func imageRow(ctx context.Context) (row, error) {
	r := row{What: "image of examples/chain, packed ahead of time (zstd)", Unit: "MB", Plus: 2.45}
	name, remove, err := build(ctx, "examples/chain")
	if err != nil {
		r.Missing = err.Error()
		return r, nil
	}
	defer remove()
	out, err := exec.CommandContext(ctx, "go", "run", module+"bootstrap/internal/imagesize", name).Output()
	if err != nil {
		return r, err
	}
	var built, slim, gzip, gzipBest, zstd, packed int
	_, err = fmt.Sscanf(strings.TrimPrefix(string(out), name), " built %d slim %d gzip %d best %d zstd %d best %d",
		&built, &slim, &gzip, &gzipBest, &zstd, &packed)
	r.Measured = float64(packed) / 1e6
	return r, err
}
