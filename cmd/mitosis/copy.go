package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
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
}

// fromTo has the source and the target of a copy, or why there can't be one.
type fromTo struct {
	from, to string
	err      error
}

// parsePut reads the arguments of "put".
func parsePut(args []string) (job, error) { return parseCopyJob("put", args) }

// parseGet reads the arguments of "get".
func parseGet(args []string) (job, error) { return parseCopyJob("get", args) }

func parseCopyJob(name string, args []string) (job, error) {
	t, hop, err := parseCopy(name, args)
	if err != nil {
		return nil, err
	}
	return t.job(hop)
}

// parseCopy reads the arguments of either command.
func parseCopy(name string, args []string) (t copyTask, hop string, err error) {
	replace, inPlace := false, false
	flags := t.flags()
	flags.BoolVar(&replace, "replace", false, "")
	flags.BoolVar(&inPlace, "inplace", false, "")
	list, err := operands(flags, args, 3, noLimit)
	if err != nil {
		return t, "", err
	}
	switch {
	case replace && inPlace:
		return t, "", errors.New("-replace and -inplace are two ways of doing the same")
	case replace:
		t.options.Overwrite = files.Replace
	case inPlace:
		t.options.Overwrite = files.InPlace
	}
	from, to := list[1:len(list)-1], list[len(list)-1]
	if name == "put" {
		t.do, t.pairs = files.Put, putPairs(from, to)
	} else {
		t.do, t.pairs = fetchInto, getPairs(from, to)
	}
	// Errors that don't depend on the other host are found before any hop is made.
	if name == "get" && !slices.ContainsFunc(from, hasPattern) || name == "put" && !hasPattern(to) {
		_, err = t.pairs(context.Background(), nil)
	}
	return t, list[0], err
}

// flags are the options of both commands.
func (t *copyTask) flags() *flag.FlagSet {
	flags := newFlags()
	flags.Func("mode", "", func(s string) error {
		mode, err := strconv.ParseUint(s, 8, 32)
		if err != nil || mode == 0 || mode > 0o777 {
			return errors.New("the permissions are an octal number from 1 to 777")
		}
		t.options.Mode = fs.FileMode(mode)
		return nil
	})
	flags.BoolVar(&t.options.Perm, "perm", false, "")
	flags.BoolVar(&t.options.Times, "times", false, "")
	flags.BoolVar(&t.options.Owner, "owner", false, "")
	flags.BoolVar(&t.options.NoReplace, "noreplace", false, "")
	flags.BoolVar(&t.options.NoSpecial, "nospecial", false, "")
	flags.BoolVar(&t.options.Sync, "sync", false, "")
	flags.BoolVar(&t.options.Resume, "resume", false, "")
	flags.BoolVar(&t.json, "json", false, "")
	return flags
}

func (t *copyTask) job(hop string) (job, error) {
	hops, err := parseHops([]string{hop})
	if err != nil {
		return nil, err
	}
	return func(out, errOut io.Writer) int {
		return session(hops, errOut, func(ctx context.Context, node *contexts.Node, _ *forwarder) int {
			return caughtOr(ctx, t.copyAll(ctx, node, out, errOut))
		})
	}, nil
}

// copyAll makes the copies one after the other. After a failure it goes on with the next one,
// unless the hop is lost.
func (t *copyTask) copyAll(ctx context.Context, node *contexts.Node, out, errOut io.Writer) (status int) {
	jobs, err := t.pairs(ctx, node)
	if err != nil {
		return complain(errOut, err, failure(err))
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
			status = complain(errOut, err, failure(err))
		}
		if status == exitHop || ctx.Err() != nil {
			break
		}
	}
	return status
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
	return json.NewEncoder(out).Encode(struct {
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
	}{res.Source, res.Target, res.Files, res.Dirs, res.Links, res.Size, res.Sent, sum, res.Skipped, notes})
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
