package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
)

// parseCopy reads the command line of put or get.
func parseCopy(name string, args []string) (t *copyTask, path string, err error) {
	t = new(copyTask)
	var s sections
	t.declare(&s)
	if err := s.flags[0].Parse(joined(twoDashes(s.flags[0], args, false))); err != nil {
		return t, "", err
	}
	list := s.flags[0].Args()
	if len(list) == 0 {
		return t, "", errNoHost
	}
	return t, list[0], t.read(name, list[1:])
}

// Where a copy goes is decided before any hop is made.
func TestTargetsOfCopies(t *testing.T) {
	if filepath.Separator != '/' {
		t.Skip("local names have slashes here")
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Base(wd)
	for line, want := range map[string]string{
		"put a b":            "a>b",
		"put dir/a /x/b":     "dir/a>/x/b",
		"put a /x/":          "a>/x/a",
		"put dir/a/ /x/":     "dir/a/>/x/a",
		"put a .":            "a>./a",
		"put a ..":           "a>../a",
		"put a /":            "a>/a",
		"put a b /x":         "a>/x/a b>/x/b",
		"put a dir/b .":      "a>./a dir/b>./b",
		"put . /x":           ".>/x",
		"put . /x/":          ".>/x/" + home,
		"put / /x":           "/>/x",
		"put / /x/":          "!no name",
		"put a / /x":         "!no name",
		"put -- -a -b":       "-a>-b",
		"put a":              "!missing",
		"put":                "!no host",
		"put -mode 8 a b":    "!octal",
		"put -mode 0 a b":    "!octal",
		"put -mode 4755 a b": "!octal",
		"get /x/a b":         "/x/a>b",
		"get /x/a dir/":      "/x/a>dir/a",
		"get /x/a/ .":        "/x/a/>a",
		"get /x/a ..":        "/x/a>../a",
		"get . dir":          ".>dir",
		"get . dir/":         "!no name",
		"get .. .":           "!no name",
		"get / .":            "!no name",
		"get a b c":          "a>c/a b>c/b",
		"get a /x/b c/":      "a>c/a /x/b>c/b",
		"get a / c":          "!no name",
		"get a /x/a c":       "!a and /x/a would both be c/a",
		"put a x/b x/a /c":   "!a and x/a would both be /c/a",
		"put a ~":            "a>~/a",
		"put a ~bob":         "a>~bob/a",
		"put a ~/b":          "a>~/b",
		"put a ~/":           "a>~/a",
		"get a":              "!missing",
	} {
		fields := strings.Fields(line)
		args := fields[1:]
		if len(args) > 0 {
			args = slices.Insert(args, 0, "local")
		}
		var got []string
		task, hop, err := parseCopy(fields[0], args)
		if hop != "local" && err == nil {
			t.Errorf("%s: by %q", line, hop)
		}
		if err == nil {
			var jobs []fromTo
			jobs, err = task.pairs(t.Context(), nil)
			for _, j := range jobs {
				got = append(got, j.from+">"+j.to)
				err = errors.Join(err, j.err)
			}
		}
		if text, fails := strings.CutPrefix(want, "!"); fails {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %q, %v, not %q", line, got, err, text)
			}
		} else if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v, not %q", line, got, err, want)
		}
	}
	if _, _, err := parseCopy("get", []string{"local", "a", ""}); err == nil {
		t.Error("a target without a name is taken")
	}
}

func TestOptionsOfCopies(t *testing.T) {
	task, _, err := parseCopy("put", strings.Fields("-mode 0640 local -times a -owner b -sync -resume -noreplace -json -perm -nospecial -inplace"))
	o := task.options
	jobs, planErr := task.pairs(t.Context(), nil)
	if err != nil || planErr != nil || !o.Perm || !o.NoSpecial || o.Overwrite != files.InPlace || o.Mode != 0o640 || !o.Times || !o.Owner || !o.Sync || !o.Resume || !o.NoReplace || !task.json || len(jobs) != 1 {
		t.Errorf("the options are read as %+v (errors: %v, %v), want all of them set", task, err, planErr)
	}
	if task, _, err := parseCopy("put", strings.Fields("-replace local a b")); err != nil || task.options.Overwrite != files.Replace {
		t.Errorf("-replace: %+v, %v", task, err)
	}
	if _, _, err := parseCopy("put", strings.Fields("-replace -inplace local a b")); err == nil {
		t.Error("both -replace and -inplace are taken")
	}
}

// A copy that fails is no reason to leave out the others, a lost hop is.
func TestStatusOfSeveralCopies(t *testing.T) {
	self, err := contexts.Start(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	missing := fmt.Errorf("far: %w", fs.ErrNotExist)
	for want, errs := range map[int][]error{
		0:         {nil, nil},
		exitError: {missing, nil},
		exitHop:   {missing, fmt.Errorf("far: %w", contexts.ErrGone)},
	} {
		task := copyTask{pairs: func(context.Context, *contexts.Node) ([]fromTo, error) {
			return []fromTo{{from: "a", to: "x"}, {from: "b", to: "y"}, {from: "c", to: "z"}}, nil
		}}
		calls := 0
		task.do = func(_ context.Context, _ contexts.Target, _, to string, _ *files.Options) (files.Result, error) {
			calls++
			if calls > len(errs) {
				return files.Result{Target: to}, nil
			}
			return files.Result{Target: to}, errs[calls-1]
		}
		var out, errOut strings.Builder
		if got := task.copyAll(t.Context(), self, &out, &errOut); got != want || want == exitHop && calls != 2 || want != exitHop && calls != 3 {
			t.Errorf("%v: status %d after %d copies", errs, got, calls)
		}
		lost := 0
		for _, err := range errs {
			if err != nil {
				lost++
			}
		}
		if lines := strings.Count(out.String(), "\n"); lines != calls-lost || strings.Count(errOut.String(), "\n") != lost {
			t.Errorf("%v: %q and %q", errs, &out, &errOut)
		}
	}
}

func TestReportOfACopy(t *testing.T) {
	full := files.Result{Source: "/a", Target: "/x y\n", Files: 1, Size: 3, Sent: 3}
	full.SHA256[0], full.SHA256[31] = 0xab, 0x01
	sum := "ab" + strings.Repeat("0", 60) + "01"
	for _, c := range []struct {
		res  files.Result
		json bool
		want string
	}{
		{full, false, sum + " 3 \"/x y\\n\"\n"},
		{files.Result{Target: "/tree", Size: 10}, false, "- 10 /tree\n"},
		{files.Result{Target: "/bad\xff"}, false, "- 0 \"/bad\\xff\"\n"},
		{full, true, `{"source":"/a","target":"/x y\n","files":1,"dirs":0,"links":0,"size":3,"sent":3,"sha256":"` + sum + "\"}\n"},
	} {
		var out strings.Builder
		if err := (&copyTask{json: c.json}).report(&out, &c.res); err != nil || out.String() != c.want {
			t.Errorf("%q, %v, not %q", &out, err, c.want)
		}
	}
	if err := new(copyTask).report(brokenWriter{}, &full); !errors.Is(err, errBroken) {
		t.Errorf("where nothing can be written: %v", err)
	}
}

var errBroken = errors.New("broken")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }
