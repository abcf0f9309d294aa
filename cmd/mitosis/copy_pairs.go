package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
)

// hasPattern reports whether only the other host can resolve a name there: it has a pattern or
// begins with a home directory.
func hasPattern(name string) bool {
	return strings.HasPrefix(name, "~") || strings.ContainsAny(name, `*?[\`)
}

// putPairs returns a function that finds the targets for sources at this host.
func putPairs(from []string, to string) func(context.Context, *contexts.Node) ([]fromTo, error) {
	return func(ctx context.Context, node *contexts.Node) (pairs []fromTo, err error) {
		into := len(from) > 1 || isInto(to) || isHome(to)
		target := to
		if node != nil && hasPattern(to) {
			if target, err = files.Expand(ctx, node, to); err != nil {
				return nil, err
			}
		}
		for _, f := range from {
			pair := fromTo{from: f, to: target}
			if into {
				abs, err := filepath.Abs(f) // . has a name, too
				if err != nil {
					return nil, err
				}
				name := filepath.Base(abs)
				if name == string(filepath.Separator) {
					return nil, noName(f)
				}
				pair.to = strings.TrimSuffix(target, "/") + "/" + name
			}
			pairs = append(pairs, pair)
		}
		return distinct(pairs), nil
	}
}

// getPairs returns a function that finds the targets for sources at the other host.
func getPairs(from []string, to string) func(context.Context, *contexts.Node) ([]fromTo, error) {
	return func(ctx context.Context, node *contexts.Node) (pairs []fromTo, err error) {
		if to == "" {
			return nil, errors.New("the target has no name")
		}
		into := len(from) > 1 || isInto(filepath.ToSlash(to))
		for _, pattern := range from {
			names := []string{pattern}
			if node != nil && hasPattern(pattern) {
				if names, err = files.Glob(ctx, node, pattern); err != nil {
					pairs = append(pairs, fromTo{from: pattern, err: err})
				}
			}
			if len(names) > 1 && !into {
				if info, err := os.Stat(to); err != nil || !info.IsDir() {
					return nil, fmt.Errorf("%d files match %s: the target has to be a directory (write %s/)", len(names), printable(pattern), printable(to))
				}
				into = true
			}
			for _, name := range names {
				pair := fromTo{from: name, to: to}
				if into {
					base := path.Base(name)
					if base == "." || base == ".." || base == "/" {
						return nil, noName(name)
					}
					pair.to = filepath.Join(to, base)
				}
				pairs = append(pairs, pair)
			}
		}
		return distinct(pairs), nil
	}
}

// distinct turns copies into errors that would overwrite another copy of the same command.
func distinct(pairs []fromTo) []fromTo {
	first := make(map[string]string)
	for i, p := range pairs {
		if other, taken := first[p.to]; taken && p.err == nil {
			pairs[i].err = fmt.Errorf("%s and %s would both be %s", printable(other), printable(p.from), printable(p.to))
		} else if p.err == nil {
			first[p.to] = p.from
		}
	}
	return pairs
}

func noName(source string) error {
	return fmt.Errorf("%q has no name for its copy: give the name of the target in full", source)
}

// isInto reports whether a target is written as a directory, which gets the copy.
func isInto(to string) bool {
	base := to[strings.LastIndexByte(to, '/')+1:]
	return base == "" && to != "" || base == "." || base == ".."
}

// isHome reports whether a name is that of a home directory.
func isHome(name string) bool { return strings.HasPrefix(name, "~") && !strings.Contains(name, "/") }

// isOutput reports whether a name stands for the standard output.
func isOutput(name string) bool {
	switch filepath.Clean(name) {
	case "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1":
		return true
	}
	return false
}

// fetchInto is files.Get that makes the directories of the target. If the copy fails, it
// removes them.
func fetchInto(ctx context.Context, on contexts.Target, from, to string, o *files.Options) (files.Result, error) {
	made, err := makeParents(to)
	res := files.Result{}
	if err == nil {
		res, err = files.Get(ctx, on, from, to, o)
	}
	if err != nil {
		for _, dir := range made {
			_ = os.Remove(dir) // fails if it is not empty
		}
	}
	return res, err
}

// makeParents makes the missing directories above a target, and returns them, the innermost
// first.
func makeParents(target string) (made []string, err error) {
	var missing []string
	for dir := filepath.Dir(target); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) || dir == filepath.Dir(dir) {
			break // it exists, or the copy will fail with a reason
		}
		missing = append(missing, dir)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := os.Mkdir(missing[i], 0o777); err != nil && !errors.Is(err, os.ErrExist) {
			return made, err
		} else if err == nil {
			made = append([]string{missing[i]}, made...)
		}
	}
	return made, nil
}
