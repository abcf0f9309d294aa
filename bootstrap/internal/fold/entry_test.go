//go:build linux && amd64

package fold

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/bootstrap/internal/slim"
)

// report is what testdata/program prints.
type report struct {
	Hash, Link  string
	Args, Env   []string
	Pid         int
	Files       []string
	Traces      bool
	exit, error string
}

// built is testdata/program, and a directory that holds it under that name.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fold")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "program")
	cmd := exec.Command("go", "build", "-o", bin, "./testdata/program")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := built(); dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// slimProgram is testdata/program as images are before they are folded.
func slimProgram(t testing.TB) []byte {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.ReadFile(filepath.Join(dir, "program"))
	if err == nil {
		exe, err = slim.Strip(exe)
	}
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

func folded(t testing.TB, exe []byte) []byte {
	t.Helper()
	f := bytes.Clone(exe)
	if err := Fold(f); err != nil {
		t.Fatal(err)
	}
	return f
}

// execute runs an executable and returns what it says of itself. before is what
// executes it.
func execute(t *testing.T, exe []byte, before ...string) report {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "folded")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// The shell writes the file, so that no process that is started beside it can
	// hold it open for writing.
	argv := append([]string{"-c", `umask 77; cat >"$0" && chmod 700 "$0" && exec "$@" </dev/null`, bin}, before...)
	cmd := exec.CommandContext(ctx, "/bin/sh", append(argv, bin, "one", "", "three words here")...)
	cmd.Stdin = bytes.NewReader(exe)
	cmd.Env = []string{"A=1", "EMPTY=", "B=two words"}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	r := report{error: stderr.String()}
	if err != nil {
		r.exit = err.Error()
		return r
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v: %q %s", err, out, r.error)
	}
	if r.Pid != cmd.Process.Pid {
		t.Errorf("process %d has become %d", cmd.Process.Pid, r.Pid)
	}
	if want := []string{bin, "one", "", "three words here"}; !slices.Equal(r.Args, want) {
		t.Errorf("arguments %q, want %q", r.Args, want)
	}
	for _, want := range cmd.Env {
		if !slices.Contains(r.Env, want) { // what comes before may have added some
			t.Errorf("%q is not in the environment %q", want, r.Env)
		}
	}
	return r
}

func hashOf(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// calls are the arguments of a filter for testdata/program.
func filtered(t *testing.T, action uint32, calls ...int) []string {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return []string{filepath.Join(dir, "program"), "filter", fmt.Sprint(action), strings.Trim(strings.ReplaceAll(fmt.Sprint(calls), " ", ","), "[]")}
}

// A folded program runs as itself, from a file that nobody sees, and else in
// its place.
func TestFoldedProgramsRun(t *testing.T) {
	exe := slimProgram(t)
	f := folded(t, exe)
	plain := execute(t, exe)
	refuse := uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.EPERM)
	for name, test := range map[string]struct {
		before  []string
		inPlace bool
	}{
		"memfd":                       {},
		"SIGCHLD ignored":             {before: []string{"/bin/sh", "-c", `trap "" CHLD; exec "$0" "$@"`}},
		"many files open":             {before: []string{"/bin/bash", "-c", `for i in {10..140}; do eval "exec $i</dev/null"; done; exec "$0" "$@"`}},
		"memfd_create refused":        {before: filtered(t, refuse, unix.SYS_MEMFD_CREATE), inPlace: true},
		"memfd_create kills":          {before: filtered(t, unix.SECCOMP_RET_KILL_PROCESS, unix.SYS_MEMFD_CREATE), inPlace: true},
		"memfd_create kills a thread": {before: filtered(t, unix.SECCOMP_RET_KILL_THREAD, unix.SYS_MEMFD_CREATE), inPlace: true},
		"trial is not awaited":        {before: filtered(t, uint32(unix.SECCOMP_RET_ERRNO)|uint32(unix.EAGAIN), unix.SYS_WAIT4), inPlace: true},
		"memfd can't be written":      {before: filtered(t, refuse, unix.SYS_FTRUNCATE), inPlace: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := execute(t, f, test.before...)
			if r.exit != "" {
				t.Fatal(r.exit, r.error)
			}
			want, link := hashOf(exe), "/memfd:mitosis (deleted)"
			if test.inPlace {
				want, link = hashOf(f), r.Args[0]
			}
			if r.Hash != want || r.Link != link {
				t.Errorf("executes %s, %s; want %s, %s", r.Link, r.Hash, link, want)
			}
			if !r.Traces {
				t.Error("the tables of functions are harmed")
			}
			own := func(name string) bool { return strings.HasSuffix(name, " "+link) }
			if files := slices.DeleteFunc(r.Files, own); name != "many files open" && len(files) != len(plain.Files) {
				t.Errorf("files %q, without folding %q", files, plain.Files)
			}
		})
	}
}

// Where nothing may be executed, it says so.
func TestNothingAllowed(t *testing.T) {
	refuse := uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.EACCES)
	r := execute(t, folded(t, slimProgram(t)), filtered(t, refuse, unix.SYS_MEMFD_CREATE, unix.SYS_MREMAP)...)
	if r.exit != "exit status 126" || !strings.HasPrefix(r.error, "mitosis: this program has to be executed from memory") {
		t.Errorf("%q %q", r.exit, r.error)
	}
}

// The machine code does what Unfold does, whatever bytes it meets, also at the
// ends of what is folded. They are put where nothing is executed: behind the code,
// and before the function that unfolds.
func TestAnyCodeIsUnfolded(t *testing.T) {
	exe := slimProgram(t)
	b := binary.LittleEndian
	var text []byte // program header
	for i := range int(b.Uint16(exe[offEntries+2:])) {
		if s := exe[headerSize+i*segSize:]; b.Uint32(s) == segLoad {
			text = s
			break
		}
	}
	end := int(b.Uint64(text[32:]))
	next := (end + page - 1) &^ (page - 1)
	ops := []byte{0xe8, 0x8b, 0x8d, 0x89, 0x83, 0x80, 0x05, 0x0d, 0x3d, 0x25, 0x15, 0x48, 0xcc}
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 0))
		size := uint64(end + random.IntN(next-end+1))
		b.PutUint64(text[32:], size) // p_filesz
		b.PutUint64(text[40:], size) // p_memsz
		clear(exe[end:next])
		noise := func(b []byte) {
			for i := range b {
				b[i] = byte(random.Uint32())
				if random.IntN(3) > 0 {
					b[i] = ops[random.IntN(len(ops))]
				}
			}
		}
		noise(exe[end:size])
		p, err := open(exe)
		if err != nil {
			t.Fatal(err)
		}
		before := exe[p.self-64 : p.self]
		padding := len(before)
		for padding > 0 && before[padding-1] == 0xcc { // INT3
			padding--
		}
		noise(before[padding:])
		f := folded(t, exe)
		again := bytes.Clone(f)
		if Unfold(again); !bytes.Equal(again, exe) {
			t.Fatalf("seed %d: folded and unfolded it is another", seed)
		}
		if r := execute(t, f); r.Hash != hashOf(exe) {
			t.Fatalf("seed %d: what is executed is another: %+v", seed, r)
		}
	}
}

func TestNotFolded(t *testing.T) {
	exe := slimProgram(t)
	for name, test := range map[string]struct {
		harm func([]byte) []byte
		want error
	}{
		"nothing":        {func([]byte) []byte { return nil }, errForeign},
		"a script":       {func([]byte) []byte { return []byte("#!/bin/sh\n" + strings.Repeat("true\n", 100)) }, errForeign},
		"another system": {func(b []byte) []byte { b[offType+2] = 3; return b }, errForeign},
		"sections":       {func(b []byte) []byte { b[offSecs] = 9; return b }, errLayout},
		"cut short":      {func(b []byte) []byte { return b[:len(b)-1] }, errLayout},
		"longer":         {func(b []byte) []byte { return append(b, 0) }, errLayout},
		"no entry": {func(b []byte) []byte {
			return bytes.ReplaceAll(b, startsWith, bytes.Repeat([]byte{0xcc}, len(startsWith)))
		}, errEntry},
	} {
		b := test.harm(bytes.Clone(exe))
		was := bytes.Clone(b)
		if err := Fold(b); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if Unfold(b); !bytes.Equal(b, was) {
			t.Errorf("%s: it was changed", name)
		}
	}
	f := folded(t, exe)
	if again := folded(t, f); !bytes.Equal(again, f) {
		t.Error("folded twice")
	}
}

// What comes from elsewhere is unfolded, too, and may be anything.
func FuzzUnfold(f *testing.F) {
	exe := folded(f, slimProgram(f))
	p, err := open(exe)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(p.self+paramFirst), uint64(0xffffffff00000001))
	f.Add(uint32(p.self+paramTables), uint64(1<<31))
	f.Add(uint32(headerSize+32), uint64(1)<<63)
	f.Fuzz(func(t *testing.T, at uint32, v uint64) {
		b := bytes.Clone(exe)
		// The headers and parameters matter most.
		where := int(at) % (len(b) - 8)
		switch at % 3 {
		case 0:
			where = int(at/3) % 1024
		case 1:
			where = p.self + int(at/3)%paramsEnd
		}
		binary.LittleEndian.PutUint64(b[where:], v)
		Unfold(b)
	})
}
