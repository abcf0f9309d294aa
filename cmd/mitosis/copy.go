package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
)

// copyFunc copies from one of the two hosts to the other.
type copyFunc func(ctx context.Context, node contexts.Target, from, to string, o *files.Options) (files.Result, error)

// copyTask is the work of "put" and "get".
type copyTask struct {
	do      copyFunc
	pairs   func(ctx context.Context, node *contexts.Node) ([]fromTo, error)
	options files.Options
	json    bool

	replace, inPlace bool
	hosts            hostOptions
	several          severalOptions
	host             string // of several, for the report in JSON
}

// fromTo has the source and the target of a copy, or why there can't be one.
type fromTo struct {
	from, to string
	err      error
}

func declarePut(s *sections) parser { return declareCopy(s, "put") }

func declareGet(s *sections) parser { return declareCopy(s, "get") }

func declareCopy(s *sections, name string) parser {
	t := new(copyTask)
	t.declare(s)
	t.hosts.declare(s)
	t.several.declare(s, name)
	return func(w words) (job, error) {
		paths, list := []string(nil), w.all()
		if !t.hosts.many() {
			if len(list) == 0 {
				return nil, errNoHost
			}
			paths, list = list[:1], list[1:]
		}
		if err := t.read(name, list); err != nil {
			return nil, err
		}
		many := func(h *hosts) (job, error) { return t.copySeveral(name, h, list) }
		return t.several.jobFor(&t.hosts, paths, name+" "+quotedArgs(list), t.json, t.job, many)
	}
}

// read reads the operands of either command, without the host.
func (t *copyTask) read(name string, list []string) (err error) {
	switch {
	case t.replace && t.inPlace:
		return errors.New("--replace and --inplace are two ways of doing the same")
	case t.replace:
		t.options.Overwrite = files.Replace
	case t.inPlace:
		t.options.Overwrite = files.InPlace
	}
	if len(list) < 2 {
		return errOperandMissing
	}
	from, to := list[:len(list)-1], list[len(list)-1]
	if name == "put" {
		t.do, t.pairs = files.Put, putPairs(from, to)
	} else {
		t.do, t.pairs = fetchInto, getPairs(from, to)
	}
	// Errors that don't depend on the other host are found before any hop is made.
	if name == "get" && !slices.ContainsFunc(from, hasPattern) || name == "put" && !hasPattern(to) {
		_, err = t.pairs(context.Background(), nil)
	}
	return err
}

// declare declares the options of both commands.
func (t *copyTask) declare(s *sections) {
	f := s.add("Options")
	onValue(f, "mode", "", "`MODE`: the permissions of a single file, in octal", func(s string) error {
		mode, err := strconv.ParseUint(s, 8, 32)
		if err != nil || mode == 0 || mode > 0o777 {
			return errors.New("the permissions are an octal number from 1 to 777")
		}
		t.options.Mode = fs.FileMode(mode)
		return nil
	})
	f.BoolVar(&t.options.Perm, "perm", false, "give files that exist the permissions of the source, too")
	f.BoolVar(&t.options.Times, "times", false, "keep the times of modification")
	f.BoolVar(&t.options.Owner, "owner", false, "keep the numeric owners and groups, and set-user-ID and the like")
	f.BoolVar(&t.options.NoReplace, "noreplace", false, "fail where the target file exists")
	f.BoolVar(&t.replace, "replace", false, "replace a file as a whole, or fail")
	f.BoolVar(&t.inPlace, "inplace", false, "write into the file that exists, which so keeps its other names")
	f.BoolVar(&t.options.NoSpecial, "nospecial", false, "fail where the target is a device or a named pipe")
	f.BoolVar(&t.options.Resume, "resume", false, "keep what came of a large file when the copy is interrupted, and go on from there")
	f.BoolVar(&t.options.Sync, "sync", false, "wait until the disk has it")
	f.BoolVar(&t.json, "json", false, "tell of each copy as a JSON object on a line")
}

func (t *copyTask) job(hops []connect.Method) job {
	return func(out, errOut io.Writer) int {
		return session(hops, &t.several, errOut, func(ctx context.Context, node *contexts.Node, _ *forwarder) int {
			return caughtOr(ctx, t.copyAll(ctx, node, out, errOut))
		})
	}
}

// copyAll makes the copies and returns the exit status.
func (t *copyTask) copyAll(ctx context.Context, node *contexts.Node, out, errOut io.Writer) (status int) {
	t.copies(ctx, node, out, errOut, func(err error) { status = complain(errOut, err, failure(err)) })
	return status
}

// copies makes the copies one after the other. After a failure, of which it tells failed, it
// goes on with the next one, unless the hop is lost.
func (t *copyTask) copies(ctx context.Context, node *contexts.Node, out, errOut io.Writer, failed func(error)) {
	jobs, err := t.pairs(ctx, node)
	if err != nil {
		failed(err)
		return
	}
	for _, j := range jobs {
		o, end, out := t.options, func() {}, out
		if isOutput(j.to) {
			out = errOut // standard output gets the contents
		} else if f, ok := errOut.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			bar := newProgressBar(f, j.from)
			o.Progress, end = bar.show, bar.clear
		}
		res, err := t.copy(ctx, node, j, &o)
		end()
		if err == nil {
			for _, name := range res.Skipped {
				_ = complain(errOut, fmt.Errorf("%s is no file, directory or symbolic link: skipped", printable(name)), 0)
			}
			for _, note := range res.Notes {
				_ = complain(errOut, fmt.Errorf("%s %s", printable(path.Join(filepath.ToSlash(res.Target), note.Path)), note), 0)
			}
			err = t.report(out, &res)
		}
		if err != nil {
			failed(err)
		}
		if err != nil && failure(err) == exitHop || ctx.Err() != nil {
			return
		}
	}
}

// copyEnd is how long a copy may take to end once its ctx has ended. Only one takes longer that
// reads a silent pipe.
const copyEnd = 2 * time.Second

// copy makes one copy. When ctx ends or the node is lost, it waits for copyEnd at most, since
// the read of a source may be stuck.
func (t *copyTask) copy(ctx context.Context, node *contexts.Node, j fromTo, o *files.Options) (res files.Result, err error) {
	type result struct {
		res files.Result
		err error
	}
	ended := make(chan result, 1)
	if j.err != nil {
		return files.Result{}, j.err
	}
	go func() {
		res, err := t.do(ctx, node, j.from, j.to, o)
		ended <- result{res, err}
	}()
	var given error
	select {
	case r := <-ended:
		return r.res, r.err
	case <-ctx.Done():
		given = context.Cause(ctx)
	case <-node.Done():
		given = node.Err()
	}
	select {
	case r := <-ended:
		return r.res, r.err
	case <-time.After(copyEnd):
		return files.Result{}, given
	}
}

// report prints the result of a copy.
func (t *copyTask) report(out io.Writer, res *files.Result) error {
	sum := ""
	if res.SHA256 != [len(res.SHA256)]byte{} {
		sum = hex.EncodeToString(res.SHA256[:])
	}
	if !t.json {
		if sum == "" {
			sum = "-"
		}
		_, err := fmt.Fprintf(out, "%s %d %s\n", sum, res.Size, printable(res.Target))
		return err
	}
	var notes []noted
	for _, n := range res.Notes {
		notes = append(notes, noted{n.Path, n.String()})
	}
	return printJSON(out, shownCopy{t.host, res.Source, res.Target, res.Files, res.Dirs, res.Links, res.Size, res.Sent, sum, res.Skipped, notes})
}

// shownCopy is the result of a copy, as docs/schema/copy.json says.
type shownCopy struct {
	Host    string   `json:"host,omitempty"` // of several
	Source  string   `json:"source"`
	Target  string   `json:"target"`
	Files   int      `json:"files"`
	Dirs    int      `json:"dirs"`
	Links   int      `json:"links"`
	Size    int64    `json:"size"` // bytes
	Sent    int64    `json:"sent"` // of them
	SHA256  string   `json:"sha256,omitempty"`
	Skipped []string `json:"skipped,omitempty"`
	Notes   []noted  `json:"notes,omitempty"`
}

// noted is a note in JSON.
type noted struct {
	Path string `json:"path"`
	Note string `json:"note"`
}

// printable quotes a name with characters that would break the line.
func printable(name string) string {
	if utf8.ValidString(name) && strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return name
	}
	return strconv.Quote(name)
}
