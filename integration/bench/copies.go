//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
	"github.com/mitosis-go/mitosis/integration/bench/work"
)

// copyPlace is a directory in the memory of both hosts, so that no disk slows down copies.
const copyPlace = "/dev/shm/mitosis-bench"

// treeFiles returns the number of small files in the tree that is copied.
func treeFiles() int {
	if quick {
		return 2000
	}
	return 20_000
}

// copyRows compares Put and Get over ssh with commands of a shell. All connections exist before
// the measurement.
func copyRows(ctx context.Context, web *contexts.Node) (rows []row, err error) {
	far := func(argv ...string) error {
		_, err := work.Run.Call(ctx, web, work.Command{Argv: argv, Times: 1})
		return err
	}
	removeFar := func(path string) error { return far("rm", "-rf", path) }
	if err := errors.Join(os.MkdirAll(copyPlace, 0o755), far("mkdir", copyPlace)); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(copyPlace), removeFar(copyPlace)) }()
	n := streamBytes() / 2
	from, tree := filepath.Join(copyPlace, "file"), filepath.Join(copyPlace, "tree")
	if err := errors.Join(makeFile(from, n), makeTree(tree, treeFiles())); err != nil {
		return nil, err
	}

	for _, path := range []string{from, tree} {
		if _, err := files.Put(ctx, web, path, path, nil); err != nil {
			return nil, err
		}
	}

	put := copySubject("put", removeFar, func(ctx context.Context, to string) (files.Result, error) { return files.Put(ctx, web, from, to, nil) })
	fetch := copySubject("fetch", os.RemoveAll, func(ctx context.Context, to string) (files.Result, error) {
		return files.Get(ctx, web, from, to, nil)
	})
	push := pushSubject("cat file | ssh cat >file", "cat "+from, "cat >%s", removeFar)
	pull := pullSubject("ssh cat file >file", "cat "+from, "cat >%s")
	if err := inTurns(ctx, rounds(7), put, push, fetch, pull); err != nil {
		return nil, err
	}
	rate := func(s *subject) float64 { return float64(n) / 1e6 / (s.results.median() / 1e3) }
	for _, pair := range [][2]*subject{{put, push}, {fetch, pull}} {
		rows = append(rows, row{What: pair[0].name + " of a file over ssh", Unit: "MB/s", Measured: rate(pair[0]),
			Limit: rate(pair[1]), LimitIs: pair[1].name, Factor: 0.9, AtLeast: true})
	}

	put = copySubject("put", removeFar, func(ctx context.Context, to string) (files.Result, error) { return files.Put(ctx, web, tree, to, nil) })
	fetch = copySubject("fetch", os.RemoveAll, func(ctx context.Context, to string) (files.Result, error) {
		return files.Get(ctx, web, tree, to, nil)
	})
	pack, unpack := "tar -C "+tree+" -cf - .", "mkdir %[1]s && tar -C %[1]s -xf -"
	push, pull = pushSubject("tar | ssh tar", pack, unpack, removeFar), pullSubject("ssh tar | tar", pack, unpack)
	if err := inTurns(ctx, rounds(5), put, push, fetch, pull); err != nil {
		return nil, err
	}
	for _, pair := range [][2]*subject{{put, push}, {fetch, pull}} {
		rows = append(rows, row{What: fmt.Sprintf("%s of %d small files over ssh", pair[0].name, treeFiles()), Unit: "ms",
			Measured: pair[0].results.median(), Limit: pair[1].results.median(), LimitIs: pair[1].name, Factor: 1})
	}
	return rows, nil
}

func makeFile(name string, n int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(writeZeros(f, n), f.Close())
}

// makeTree makes small files, 200 in a directory, of 0 to 8 KiB.
func makeTree(root string, files int) error {
	content := make([]byte, 8<<10)
	for i := range files {
		dir := filepath.Join(root, fmt.Sprint(i/200))
		if i%200 == 0 {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), content[:i*37%len(content)], 0o644); err != nil {
			return err
		}
	}
	return nil
}

// copySubject measures a copy to a new place, in milliseconds.
func copySubject(name string, remove func(string) error, do func(context.Context, string) (files.Result, error)) *subject {
	to := filepath.Join(copyPlace, name+".copy")
	return &subject{name: name, measure: func(ctx context.Context) (float64, error) {
		began := time.Now()
		_, err := do(ctx, to)
		took := time.Since(began)
		return millis(took), errors.Join(err, remove(to))
	}}
}

// pushSubject measures a local command whose output goes to a command at the server, in
// milliseconds.
func pushSubject(name, local, remote string, remove func(string) error) *subject {
	to := filepath.Join(copyPlace, "push.copy")
	return &subject{name: name, measure: func(ctx context.Context) (float64, error) {
		s, err := overSSH(ctx, fmt.Sprintf(remote, to)+"; echo done")
		if err != nil {
			return 0, err
		}
		began := time.Now()
		source := exec.CommandContext(ctx, "sh", "-c", local)
		source.Stdout = s.in
		if err := source.Run(); err != nil {
			return 0, err
		}
		took, err := s.finish(began)
		return millis(took), errors.Join(err, remove(to))
	}}
}

// pullSubject measures a command at the server whose output goes to a local
// one, in milliseconds.
func pullSubject(name, remote, local string) *subject {
	to := filepath.Join(copyPlace, "pull.copy")
	return &subject{name: name, measure: func(ctx context.Context) (float64, error) {
		s, err := overSSH(ctx, "read go; "+remote)
		if err != nil {
			return 0, err
		}
		defer s.out.Close()
		began := time.Now()
		if _, err := s.in.WriteString("go\n"); err != nil {
			return 0, err
		}
		s.in.Close()
		sink := exec.CommandContext(ctx, "sh", "-c", fmt.Sprintf(local, to))
		sink.Stdin = s.out
		err = sink.Run()
		took := millis(time.Since(began))
		return took, errors.Join(err, s.cmd.Wait(), os.RemoveAll(to))
	}}
}
