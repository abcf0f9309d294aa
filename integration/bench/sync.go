//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
	"github.com/mitosis-go/mitosis/integration/bench/work"
)

// syncPlace is a directory in the memory of both hosts.
const syncPlace = "/dev/shm/mitosis-sync"

// syncRows compares ways to bring a directory up to date with rsync. The directory is the
// project's source. The target has nothing of it, or all of it. The program and rsync are measured
// from start to end, each with an ssh connection of its own. Put uses a connection that exists
// already, as a user of the library does.
func syncRows(ctx context.Context, web *contexts.Node, program, source string) (rows []row, err error) {
	far := func(argv ...string) error {
		_, err := work.Run.Call(ctx, web, work.Command{Argv: argv, Times: 1})
		return err
	}
	if err := errors.Join(os.MkdirAll(syncPlace, 0o755), far("mkdir", syncPlace)); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(syncPlace), far("rm", "-rf", syncPlace)) }()
	tree := filepath.Join(syncPlace, "source")
	if err := command(ctx, "sh", "-c", `mkdir "$2" && tar -C "$1" --exclude=./.git --exclude=./bin -cf - . | tar -C "$2" -xf -`, "sh", source, tree); err != nil {
		return nil, err
	}
	count := 0
	if err := filepath.WalkDir(tree, func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			count++
		}
		return err
	}); err != nil {
		return nil, err
	}

	ways := []*syncWay{
		{name: "Put", do: func(ctx context.Context, to string) error {
			_, err := files.Put(ctx, web, tree, to, &files.Options{Times: true})
			return err
		}},
		{name: "mitosis put", do: func(ctx context.Context, to string) error {
			return command(ctx, program, "put", "-times", "ssh:"+serverName, tree, to)
		}},
		{name: "rsync -a over ssh", do: func(ctx context.Context, to string) error {
			return command(ctx, "rsync", "-a", "-e", "ssh", tree+"/", serverName+":"+to)
		}},
	}
	var subjects []*subject
	for _, w := range ways {
		w.far = far
		subjects = append(subjects, w.first(), w.second())
	}
	if err := inTurns(ctx, rounds(7), subjects...); err != nil {
		return nil, err
	}
	rsync := ways[len(ways)-1]
	for run, name := range []string{"first", "second"} {
		limit := rsync.runs[run].results.median()
		for _, w := range ways[:len(ways)-1] {
			rows = append(rows, row{What: fmt.Sprintf("%s of %d source files, %s time", w.name, count, name), Unit: "ms",
				Measured: w.runs[run].results.median(), Limit: limit, LimitIs: rsync.name,
				Note: fmt.Sprintf("on the wire: %s; rsync %s", w.bytes(run), rsync.bytes(run))})
		}
	}
	return rows, nil
}

// syncWay is a way to bring a directory at the server up to date.
type syncWay struct {
	name string
	do   func(ctx context.Context, to string) error
	far  func(argv ...string) error
	runs [2]*subject // the first time, and when the target is up to date
	sent [2]series   // bytes on the wire, in each direction
	read [2]series
}

func (w *syncWay) target() string {
	return filepath.Join(syncPlace, strings.ReplaceAll(w.name, " ", "-"))
}

func (w *syncWay) first() *subject {
	return w.subject(0, func() error { return w.far("rm", "-rf", w.target()) })
}

// second measures the way when the target is up to date. In each round it follows first.
func (w *syncWay) second() *subject { return w.subject(1, func() error { return nil }) }

func (w *syncWay) subject(run int, prepare func() error) *subject {
	s := &subject{name: w.name, measure: func(ctx context.Context) (float64, error) {
		if err := prepare(); err != nil {
			return 0, err
		}
		var t traffic
		began := time.Now()
		err := t.measure(func() error { return w.do(ctx, w.target()) })
		took := millis(time.Since(began))
		w.sent[run], w.read[run] = append(w.sent[run], t.sent), append(w.read[run], t.read)
		return took, err
	}}
	w.runs[run] = s
	return s
}

func (w *syncWay) bytes(run int) string {
	return fmt.Sprintf("%.0f kB out, %.0f kB in", w.sent[run].median()/1e3, w.read[run].median()/1e3)
}

// command runs a command on this host.
func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}
