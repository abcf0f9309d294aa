package slim

import (
	"bytes"
	"context"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap/internal/exitprogram"
)

// build builds testdata/stress and returns the executable.
func build(t testing.TB, env []string, args ...string) []byte {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "stress")
	cmd := exec.Command("go", append([]string{"build", "-o", bin}, append(args, "./testdata/stress")...)...)
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	exe, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// strip is Strip without the checks of release and race detector. So the tests can strip
// themselves even if they are built for the race detector.
func strip(exe []byte) ([]byte, error) {
	f, ok := parseELF(exe)
	if !ok {
		return exe, errNoELF
	}
	err := f.clearTables()
	return f.withoutSections(), err
}

// run runs an executable and returns what it printed on either output.
func run(t *testing.T, exe []byte, arg string, env ...string) (string, error) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "slim")
	if err := os.WriteFile(bin, exe, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	// A shell tries again: a child of another test may hold the file open for writing for a
	// moment, and it can't be executed then (status 126).
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", `for i in 1 2 3 4 5 6 7 8 9; do "$0" "$1"; s=$?; [ $s = 126 ] || exit $s; done; exit 126`, bin, arg)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A program whose tables were cleared passes all of its own checks, however it was built.
func TestSlimProgramsRun(t *testing.T) {
	for name, c := range map[string]struct {
		env, args []string
		arg       string
		run       []string
	}{
		"as built":       {nil, nil, "all", nil},
		"stripped":       {nil, []string{"-trimpath", "-ldflags=-s -w"}, "calm", []string{"GOMAXPROCS=1"}},
		"collecting":     {nil, nil, "calm", []string{"GOGC=1", "GODEBUG=gccheckmark=1,clobberfree=1"}},
		"not optimized":  {nil, []string{"-gcflags=-N -l"}, "calm", nil},
		"PIE":            {nil, []string{"-buildmode=pie"}, "calm", nil},
		"32 bits":        {[]string{"GOARCH=386"}, nil, "calm", nil},
		"linked outside": {[]string{"CGO_ENABLED=1"}, []string{"-ldflags=-linkmode=external"}, "calm", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "32 bits" {
				if out, err := run(t, exitprogram.For("386"), ""); err != nil {
					t.Skipf("this kernel does not execute programs of 32 bits: %v %s", err, out)
				}
			}
			exe := build(t, c.env, c.args...)
			size := len(exe)
			slim, err := strip(exe)
			if err != nil && name != "linked outside" {
				t.Fatal(err)
			}
			t.Logf("%d bytes, slim %d; %v", size, len(slim), err)
			out, err := run(t, slim, c.arg, c.run...)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if n := strings.Count(out, " ok\n"); n < 7 {
				t.Errorf("%d parts of the program came out right, want at least 7:\n%s", n, out)
			}
		})
	}
}

// Images from a release of Go that this package was not checked against are a quarter larger. Tests
// that only build and run such programs would not notice, so this test fails.
func TestToolchainIsKnown(t *testing.T) {
	if err := CheckRelease(runtime.Version()); err != nil {
		t.Errorf("%v: read the changes of its runtime (slim.release has the list of places), set slim.release to it, and run the tests of this package", err)
	}
	if exe, err := Strip(build(t, nil)); err != nil || len(exe) == 0 {
		t.Errorf("stripping a program of this toolchain: %v (%d bytes left), want no error", err, len(exe))
	}
}

// A slim program that ends with a traceback still prints one, with the names of functions.
func TestSlimProgramsEndUnhappily(t *testing.T) {
	slim, err := strip(build(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	for how, want := range map[string]string{
		"panic": "panic: deliberate", "nil": "nil pointer dereference",
		"overflow": "stack overflow", "deadlock": "all goroutines are asleep",
	} {
		out, err := run(t, slim, how)
		if err == nil || !strings.Contains(out, want) || !strings.Contains(out, "main.end") || !strings.Contains(out, "main.main") {
			t.Errorf("%s: the program ended with error %v, want a failure, and want %q and the names main.end and main.main in:\n%s", how, err, want, out)
		}
	}
}

// Strip changes only the tables and the file's header, and moves nothing. It cuts off only the
// section headers and sections that are not loaded.
func TestOnlyTablesChange(t *testing.T) {
	for _, arch := range []string{"amd64", "386", "s390x"} {
		whole := build(t, []string{"GOARCH=" + arch})
		parsed, err := elf.NewFile(bytes.NewReader(whole))
		if err != nil {
			t.Fatal(err)
		}
		slim, err := strip(bytes.Clone(whole))
		if err != nil {
			t.Fatal(arch, err)
		}
		tables := parsed.Section(".gopclntab")
		cleared := 0
		for i := range slim {
			if slim[i] == whole[i] || i < headerSize {
				continue
			}
			if uint64(i) < tables.Offset || uint64(i) >= tables.Offset+tables.Size {
				t.Fatalf("%s: byte %#x has changed and is outside of the tables, want changes only there", arch, i)
			}
			cleared++
		}
		if cleared < int(tables.Size)/3 {
			t.Errorf("%s: %d of %d bytes of the tables have changed, want at least a third", arch, cleared, tables.Size)
		}
		for _, p := range parsed.Progs {
			if p.Type == elf.PT_LOAD && p.Off+p.Filesz > uint64(len(slim)) {
				t.Errorf("%s: the segment at %#x of %d bytes reaches beyond the %d bytes left, want all of it kept", arch, p.Off, p.Filesz, len(slim))
			}
		}
		again, err := strip(bytes.Clone(slim))
		if err == nil || !bytes.Equal(again, slim) {
			t.Errorf("%s: stripping again has error %v and left the same bytes: %v, want an error and the same bytes", arch, err, bytes.Equal(again, slim))
		}
	}
}

func TestOtherReleasesKeepTheirTables(t *testing.T) {
	for version, known := range map[string]bool{
		"go1.26": true, "go1.26.8": true, "go1.25.9": false, "go1.27": false, "go1.260": false,
		"devel go1.27-0123abc": false, "go1.26rc1": false, "": false,
	} {
		if err := mayClear(version, false); (err == nil) != known {
			t.Errorf("release %q: %v, want its tables cleared: %v", version, err, known)
		}
		if mayClear(version, true) == nil {
			t.Errorf("release %q, built for the race detector, loses its tables, want them kept", version)
		}
	}
}
