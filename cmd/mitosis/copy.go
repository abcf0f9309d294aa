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
type copyFunc func(ctx context.Context, node *contexts.Node, from, to string, o *files.Options) (files.Result, error)

// copyTask is what "put" and "get" are to do.
type copyTask struct {
	do      copyFunc
	jobs    []fromTo
	options files.Options
	json    bool
}

// fromTo are the source and the target of a copy.
type fromTo struct{ from, to string }

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
	most := noLimit
	if name == "get" {
		most = 3
	}
	list, err := operands(t.flags(), args, 3, most)
	if err != nil {
		return t, "", err
	}
	from, to := list[1:len(list)-1], list[len(list)-1]
	if name == "put" {
		t.do = files.Put
		t.jobs, err = putJobs(from, to)
	} else {
		t.do = files.Fetch
		t.jobs, err = getJobs(from[0], to)
	}
	return t, list[0], err
}

// putJobs finds the targets of sources at this host.
func putJobs(from []string, to string) (jobs []fromTo, err error) {
	into := len(from) > 1 || isInto(to)
	for _, f := range from {
		target := to
		if into {
			abs, err := filepath.Abs(f) // . has a name, too
			if err != nil {
				return nil, err
			}
			name := filepath.Base(abs)
			if name == string(filepath.Separator) {
				return nil, noName(f)
			}
			target = strings.TrimSuffix(to, "/") + "/" + name
		}
		jobs = append(jobs, fromTo{f, target})
	}
	return jobs, nil
}

// getJobs finds the target of a source at the other host.
func getJobs(from, to string) ([]fromTo, error) {
	if to == "" {
		return nil, errors.New("the target has no name")
	}
	if isInto(filepath.ToSlash(to)) {
		name := path.Base(from)
		if name == "." || name == ".." || name == "/" {
			return nil, noName(from)
		}
		to = filepath.Join(to, name)
	}
	return []fromTo{{from, to}}, nil
}

func noName(source string) error {
	return fmt.Errorf("%q has no name that a copy could get in a directory", source)
}

// isInto reports whether a target is a directory in which the copy is to be.
func isInto(to string) bool {
	base := to[strings.LastIndexByte(to, '/')+1:]
	return base == "" && to != "" || base == "." || base == ".."
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
	flags.BoolVar(&t.options.Times, "times", false, "")
	flags.BoolVar(&t.options.Owner, "owner", false, "")
	flags.BoolVar(&t.options.NoReplace, "noreplace", false, "")
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
			return caughtOr(ctx, t.run(ctx, node, out, errOut))
		})
	}, nil
}

// run makes the copies one after the other. One that fails is no reason to leave
// out the next, unless the hop is lost.
func (t *copyTask) run(ctx context.Context, node *contexts.Node, out, errOut io.Writer) (status int) {
	for _, j := range t.jobs {
		o, end := t.options, func() {}
		if f, ok := errOut.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			bar := newProgressBar(f, j.from)
			o.Progress, end = bar.show, bar.clear
		}
		res, err := t.copy(ctx, node, j, &o)
		end()
		if err == nil {
			for _, name := range res.Skipped {
				_ = complain(errOut, fmt.Errorf("%s is no file, directory or symbolic link: skipped", printable(name)), 0)
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

// copyEnd is how long a copy may take to end once it has been told to. Longer
// takes only one that reads a pipe in which nothing comes.
const copyEnd = 2 * time.Second

// copy makes one of the copies. It does not wait for a source that is stuck when
// there is no use in that any more.
func (t *copyTask) copy(ctx context.Context, node *contexts.Node, j fromTo, o *files.Options) (res files.Result, err error) {
	type result struct {
		res files.Result
		err error
	}
	ended := make(chan result, 1)
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

// report tells of a copy.
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
	}{res.Source, res.Target, res.Files, res.Dirs, res.Links, res.Size, res.Sent, sum, res.Skipped})
}

// printable quotes a name that would not stay on its line.
func printable(name string) string {
	if utf8.ValidString(name) && strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return name
	}
	return strconv.Quote(name)
}
