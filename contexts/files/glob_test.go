package files_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
)

// place makes files below a directory that is the working directory and, under
// another name, the home directory of a context.
func place(t *testing.T, names ...string) (n *contexts.Node, dir string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("names can't have these characters here")
	}
	dir = t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, nil)
	}
	t.Setenv("HOME", dir)
	n = child(t, child(t, start(t, nil)))
	if _, err := workIn.Call(t.Context(), n, dir); err != nil {
		t.Fatal(err)
	}
	return n, dir
}

func TestGlob(t *testing.T) {
	n, dir := place(t, "a", "b.txt", "c.txt", ".hidden", ".x/.y.txt", "d/e/f.txt", "d/g/f.txt", "star*", "star1", `back\slash`, "[1]", "1",
		"sp ace", "new\nline", "\xff\xfe.bin", "-rf", "~tilde", "a[1", "quest?ion", "$(id)")
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	for pattern, want := range map[string][]string{
		"*.txt":                           {"b.txt", "c.txt"},
		"?":                               {"1", "a", "d"},
		"[a-c]*":                          {"a", "a[1", "b.txt", `back\slash`, "c.txt"},
		"[!a]":                            {"1", "d"},
		".h*":                             {".hidden"},
		`\.h*`:                            {".hidden"},
		".*/.*":                           {".x/.y.txt"},
		"*/.y*":                           nil,
		"d/*/f.txt":                       {"d/e/f.txt", "d/g/f.txt"},
		"*/*/*":                           {"d/e/f.txt", "d/g/f.txt"},
		"d/*/":                            {"d/e/", "d/g/"},
		"*/":                              {"d/"},
		"./d//[e-f]/f*":                   {"./d//e/f.txt"},
		`star\*`:                          {"star*"},
		`star*`:                           {"star*", "star1"},
		`star[*]`:                         {"star*"},
		`back\\slash`:                     {`back\slash`},
		`back\slash`:                      {`back\slash`}, // as it stands
		"[1]":                             {"1"},
		`\[1]`:                            {"[1]"},
		`"sp ace"`:                        nil,
		"sp*":                             {"sp ace"},
		"new*":                            {"new\nline"},
		"*.bin":                           {"\xff\xfe.bin"},
		"-*":                              {"-rf"},
		"dang*":                           {"dangling"},
		"a":                               {"a"},
		"none":                            nil,
		"none*":                           nil,
		"a/*":                             nil,
		"a[1":                             {"a[1"}, // no pattern, but a name
		"b[1":                             nil,
		"quest[?]ion":                     {"quest?ion"},
		"$(id)":                           {"$(id)"},
		"`id`":                            nil,
		"{a,b.txt}":                       nil,
		"~tilde":                          {"~tilde"},
		`\~tilde`:                         {"~tilde"},
		"./~*":                            {"./~tilde"},
		"~":                               {dir},
		"~/*.txt":                         {dir + "/b.txt", dir + "/c.txt"},
		"~nobody-here/*":                  nil,
		dir + "/?":                        {dir + "/1", dir + "/a", dir + "/d"},
		"..":                              {".."},
		"../*/a":                          {"../" + filepath.Base(dir) + "/a"},
		"[[:alpha:]]":                     nil,
		"":                                nil,
		"a\x00*":                          nil,
		strings.Repeat("*", 300) + "none": nil,
	} {
		got, err := files.Glob(t.Context(), n, pattern)
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Errorf("%q: %q, %v, not %q", pattern, got, err, want)
		}
		if e, ok := errors.AsType[*contexts.Error](err); want == nil && (!ok || e.Path != n.String() || !errors.Is(err, files.ErrNoMatch) && !errors.Is(err, fs.ErrInvalid)) {
			t.Errorf("%q: got %v, want ErrNoMatch or ErrInvalid with the path of the node", pattern, err)
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := files.Glob(t.Context(), n, "~"+me.Username+"/"); err != nil || len(got) != 1 || got[0] != me.HomeDir+"/" {
		t.Errorf("the home of %s: got %q, %v; want %s", me.Username, got, err, me.HomeDir)
	}
}

func TestExpand(t *testing.T) {
	n, dir := place(t, "a1/x", "a2/y", "b1/z", "star*")
	for pattern, want := range map[string]string{
		"new":         "new",
		"~/new":       dir + "/new",
		"~":           dir,
		"~/":          dir + "/",
		"b*/new":      "b1/new",
		"~/b*/new/n":  dir + "/b1/new/n",
		"b*/z":        "b1/z",
		"b*/":         "b1/",
		"a*/new":      "",
		"a*/x":        "",
		"c*/new":      "",
		"new*":        "",
		`new\*`:       "new*",
		`\~/x`:        "~/x",
		`b*/\*`:       "b1/*",
		"s*":          "star*",
		"~no-user/x":  "",
		"/":           "/",
		"/no/such/~x": "/no/such/~x",
		"":            "",
	} {
		got, err := files.Expand(t.Context(), n, pattern)
		if got != want || (err == nil) != (want != "" || pattern == "") {
			t.Errorf("%q: %q, %v, not %q", pattern, got, err, want)
		}
	}
	if _, err := files.Expand(t.Context(), n, "a*/new"); !errors.Is(err, fs.ErrInvalid) || !strings.Contains(err.Error(), "2 files match") {
		t.Errorf("two files match: got %v, want ErrInvalid that says so", err)
	}
	if _, err := files.Expand(t.Context(), n, "c*/new"); !errors.Is(err, files.ErrNoMatch) {
		t.Errorf("no file matches: got %v, want ErrNoMatch", err)
	}
}
