//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/integration/bench/work"
)

// startRows returns the rows on the cost of a start, in time and in bytes, and on the memory of an
// idle child.
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
		Limit: bare.results.median(), LimitIs: "the same program, to its first byte", Factor: 1.8,
	})

	line := bootstrap.NewLaunch(bootstrap.Options{Label: "ssh:deploy@server"}).Line()
	rows = append(rows, row{What: "first stage", Unit: "bytes", Measured: float64(len(line)), Size: 1024})
	for _, i := range []struct {
		what, example string
		most          float64
	}{
		{"first contact of examples/chain (zstd)", "examples/chain", 2.45},
		{"first contact of a program without ssh (zstd)", "examples/callback", 2.05},
	} {
		r := row{What: i.what, Unit: "MB", Size: i.most}
		packed, err := imageSize(ctx, i.example)
		if err != nil {
			r.Missing, r.Failed = err.Error(), true
		}
		r.Measured = float64(packed+len(line)) / 1e6
		rows = append(rows, r)
	}
	idle, err := idleRows(ctx, master)
	return append(rows, idle...), err
}

// imageSize packs an example as ahead of time, and returns the size in bytes. An example serves
// because this program is larger than a user's: it has the lab in it.
func imageSize(ctx context.Context, example string) (int, error) {
	name, remove, err := build(ctx, example)
	if err != nil {
		return 0, err
	}
	defer remove()
	root, err := sourceRoot(ctx)
	if err != nil {
		return 0, err
	}
	out, err := goCommand(ctx, root, "run", module+"bootstrap/internal/imagesize", name)
	if err != nil {
		return 0, err
	}
	var built, slim, gzip, gzipBest, zstd, packed int
	_, err = fmt.Sscanf(strings.TrimPrefix(out, name), " built %d slim %d gzip %d best %d zstd %d best %d",
		&built, &slim, &gzip, &gzipBest, &zstd, &packed)
	return packed, err
}
