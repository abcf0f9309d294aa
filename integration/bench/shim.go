//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/fakessh"
	"github.com/mitosis-go/mitosis/integration/bench/work"
)

// shimPlace is a directory in the memory of both hosts.
const shimPlace = "/dev/shm/mitosis-shim"

// rsyncBytes is the size of the file that rsync copies.
func rsyncBytes() int64 {
	if quick {
		return 64 << 20
	}
	return 1 << 30
}

// rsyncFiles is the number of small files in the tree that rsync copies.
const rsyncFiles = 10_000

// shimRows compares commands through the shim with the same commands by contexts.Command, and
// rsync by the shim with rsync by ssh.
func shimRows(ctx context.Context, web *contexts.Node) (rows []row, err error) {
	far := func(argv ...string) error {
		_, err := work.Run.Call(ctx, web, work.Command{Argv: argv, Times: 1})
		return err
	}
	if err := errors.Join(os.MkdirAll(shimPlace, 0o755), far("mkdir", shimPlace)); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(shimPlace), far("rm", "-rf", shimPlace)) }()
	p, err := fakessh.Open(ctx, fakessh.Hosts{Default: web})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()

	start := &subject{name: "shim", measure: func(ctx context.Context) (float64, error) {
		return firstByte(func(out io.Writer) error {
			cmd := shimCommand(ctx, p, "echo x")
			cmd.Stdout = out
			return cmd.Run()
		})
	}}
	under := &subject{name: "command", measure: func(ctx context.Context) (float64, error) {
		return firstByte(func(out io.Writer) error {
			cmd := web.LoginShell(ctx, "-c", "echo x")
			cmd.Stdout = out
			return cmd.Run()
		})
	}}
	bare := &subject{name: "bare process", measure: func(ctx context.Context) (float64, error) {
		return firstByte(func(out io.Writer) error {
			cmd, err := self(ctx, "hello")
			if err != nil {
				return err
			}
			cmd.Stdout = out
			return cmd.Run()
		})
	}}
	if err := inTurns(ctx, rounds(15), start, under, bare); err != nil {
		return nil, err
	}
	rows = append(rows, row{What: "start of the shim, to the first byte", Unit: "ms", Measured: start.results.median(),
		Limit: under.results.median() + bare.results.median(), LimitIs: "Command of the library, one start of the same program", Factor: 1.2})
	through, err := shimThroughput(ctx, p, web)
	rows = append(rows, through...)
	if err != nil {
		return rows, err
	}
	synced, err := rsyncRows(ctx, p, func(path string) error { return far("rm", "-rf", path) })
	return append(rows, synced...), err
}

func shimCommand(ctx context.Context, p *fakessh.Proxy, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.Path(), serverName, line)
	cmd.Env = p.Environ(os.Environ())
	return cmd
}

// firstByte measures the time until run writes its first byte, in milliseconds. run writes to a
// pipe, as ssh does when a tool runs it.
func firstByte(run func(out io.Writer) error) (float64, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	ended := make(chan error, 1)
	began := time.Now()
	go func() {
		err := run(w)
		ended <- errors.Join(err, w.Close())
	}()
	_, err = r.Read(make([]byte, 1))
	took := millis(time.Since(began))
	_, _ = io.Copy(io.Discard, r)
	return took, errors.Join(err, <-ended)
}

// shimThroughput measures the throughput each way. The bytes come from a file and are thrown away.
func shimThroughput(ctx context.Context, p *fakessh.Proxy, web *contexts.Node) ([]row, error) {
	n := streamBytes()
	path := filepath.Join(shimPlace, "big")
	if err := makeFile(path, n); err != nil {
		return nil, err
	}
	defer os.Remove(path)
	rate := func(run func(in, out *os.File) error) (float64, error) {
		in, err := os.Open(path)
		if err != nil {
			return 0, err
		}
		defer in.Close()
		out, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			return 0, err
		}
		defer out.Close()
		began := time.Now()
		err = run(in, out)
		return megabytes(n, time.Since(began)), err
	}
	var rows []row
	for _, way := range []struct{ name, line string }{
		{"to a host", "cat >/dev/null"},
		{"from a host", fmt.Sprintf("head -c %d /dev/zero", n)},
	} {
		shim := &subject{name: "shim " + way.name, measure: func(ctx context.Context) (float64, error) {
			return rate(func(in, out *os.File) error {
				cmd := shimCommand(ctx, p, way.line)
				cmd.Stdin, cmd.Stdout = in, out
				return cmd.Run()
			})
		}}
		under := &subject{name: "command " + way.name, measure: func(ctx context.Context) (float64, error) {
			return rate(func(in, out *os.File) error {
				cmd := web.LoginShell(ctx, "-c", way.line)
				cmd.Stdin, cmd.Stdout = in, out
				return cmd.Run()
			})
		}}
		if err := inTurns(ctx, rounds(5), shim, under); err != nil {
			return rows, err
		}
		rows = append(rows, row{What: "bytes by the shim " + way.name, Unit: "MB/s", Measured: shim.results.median(),
			Limit: under.results.median(), LimitIs: "Command of the library", Factor: 0.9, AtLeast: true})
	}
	return rows, nil
}

// rsyncRows measures rsync with a large file and with many small ones.
func rsyncRows(ctx context.Context, p *fakessh.Proxy, removeFar func(string) error) ([]row, error) {
	big, tree, to := filepath.Join(shimPlace, "big"), filepath.Join(shimPlace, "tree"), filepath.Join(shimPlace, "copy")
	if err := errors.Join(makeFile(big, rsyncBytes()), makeTree(tree, rsyncFiles)); err != nil {
		return nil, err
	}
	var rows []row
	for _, job := range []struct{ name, from string }{
		{fmt.Sprintf("rsync of %d MiB", rsyncBytes()>>20), big},
		{fmt.Sprintf("rsync of %d files", rsyncFiles), tree + "/"},
	} {
		var bytes [2]traffic
		measured := func(i int, name string, env []string) *subject {
			return &subject{name: name, measure: func(ctx context.Context) (float64, error) {
				cmd := exec.CommandContext(ctx, "rsync", "-a", job.from, serverName+":"+to)
				cmd.Env = env
				began := time.Now()
				err := bytes[i].measure(func() error {
					if out, err := cmd.CombinedOutput(); err != nil {
						return fmt.Errorf("%w: %s", err, out)
					}
					return nil
				})
				took := millis(time.Since(began))
				return took, errors.Join(err, removeFar(to))
			}}
		}
		shim, plain := measured(0, job.name+" by the shim", p.Environ(os.Environ())), measured(1, job.name+" by ssh", os.Environ())
		if err := inTurns(ctx, rounds(3), shim, plain); err != nil {
			return rows, err
		}
		rows = append(rows, row{What: shim.name, Unit: "ms", Measured: shim.results.median(), Limit: plain.results.median(),
			LimitIs: "rsync over ssh, which connects",
			Note: fmt.Sprintf("on the wire: %.0f kB out, %.0f kB in; ssh %.0f kB out, %.0f kB in",
				bytes[0].sent/1e3, bytes[0].read/1e3, bytes[1].sent/1e3, bytes[1].read/1e3)})
	}
	return rows, nil
}
