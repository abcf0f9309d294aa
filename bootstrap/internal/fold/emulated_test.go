//go:build linux && amd64

package fold

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/bootstrap/internal/slim"
)

const emulator = "/usr/bin/qemu-aarch64-static"

// byKernel has the kernel execute programs for arm64 by the emulator, and
// notByKernel has it refuse them, in a new user namespace (Linux 6.7).
var (
	byKernel    = unshared("cat /usr/lib/binfmt.d/qemu-aarch64.conf >/mnt/register")
	notByKernel = append(unshared(":"), emulator)
)

func unshared(setup string) []string {
	return []string{"/usr/bin/unshare", "-U", "-r", "-m", "/bin/sh", "-c", `set -e
mount -t binfmt_misc none /mnt
` + setup + `
exec "$0" "$@"`}
}

// requireEmulator skips the test where programs for arm64 can't be run.
func requireEmulator(t *testing.T) {
	t.Helper()
	_, err := os.Stat(emulator)
	if err == nil {
		var out []byte
		if out, err = exec.Command(byKernel[0], append(byKernel[1:], "true")...).CombinedOutput(); err != nil {
			t.Logf("%s", out)
		}
	}
	if err == nil {
		return
	}
	const text = "no emulator for arm64 (apt-get install qemu-user-static; root; Linux 6.7): %v"
	if os.Getenv("CI") == "true" {
		t.Fatalf(text, err)
	}
	t.Skipf(text, err)
}

// slimARM64 is testdata/program for arm64 as images are before they are folded,
// where entry_arm64.s has the second of each pair of lines instead of the first.
func slimARM64(t *testing.T, pairs ...string) []byte {
	t.Helper()
	path, err := filepath.Abs("entry_arm64.s")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if bytes.Count(source, []byte(pairs[i])) != 1 {
			t.Fatalf("%q is in %s not once", pairs[i], path)
		}
		source = bytes.ReplaceAll(source, []byte(pairs[i]), []byte(pairs[i+1]))
	}
	dir := t.TempDir()
	bin, changed, list := filepath.Join(dir, "program"), filepath.Join(dir, "entry"), filepath.Join(dir, "overlay")
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{changed: source, list: overlay} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-o", bin, "-overlay", list, "./testdata/program")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=arm64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	exe, err := os.ReadFile(bin)
	if err == nil {
		exe, err = slim.Strip(exe)
	}
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// slimLikeKernel is slimARM64 that does on the emulator what it does without, which
// makes no process without a signal.
func slimLikeKernel(t *testing.T) []byte {
	t.Helper()
	return slimARM64(t, "	MOVD $0, R0 // flags\n", "	MOVD $17, R0\n")
}

// What is folded for arm64 unfolds itself, in a file and in its place.
func TestFoldedARM64ProgramsRun(t *testing.T) {
	requireEmulator(t)
	emulated, likeKernel := slimARM64(t), slimLikeKernel(t)
	refuse := uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.EPERM)
	for name, test := range map[string]struct {
		exe     []byte
		before  []string
		inPlace bool
	}{
		"emulated":                {emulated, []string{emulator}, true},
		"emulated by the kernel":  {emulated, byKernel, true},
		"memfd":                   {likeKernel, byKernel, false},
		"many files open":         {likeKernel, append([]string{"/bin/bash", "-c", `for i in {10..140}; do eval "exec $i</dev/null"; done; exec "$0" "$@"`}, byKernel...), false},
		"memfd can't be executed": {likeKernel, notByKernel, true},
		"memfd_create refused":    {likeKernel, append(filtered(t, refuse, unix.SYS_MEMFD_CREATE), byKernel...), true},
		"memfd_create kills":      {likeKernel, append(filtered(t, unix.SECCOMP_RET_KILL_PROCESS, unix.SYS_MEMFD_CREATE), byKernel...), true},
		"memfd can't be written":  {likeKernel, append(filtered(t, refuse, unix.SYS_FTRUNCATE), byKernel...), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := folded(t, test.exe)
			r := execute(t, f, test.before...)
			if r.exit != "" {
				t.Fatal(r.exit, r.error)
			}
			want := hashOf(test.exe)
			if test.inPlace {
				want = hashOf(f)
			}
			if r.Hash != want {
				t.Errorf("executes %s, %s; want %s", r.Link, r.Hash, want)
			}
			if !r.Traces {
				t.Error("the tables of functions are harmed")
			}
		})
	}
	t.Run("nothing allowed", func(t *testing.T) {
		r := execute(t, folded(t, emulated), append(filtered(t, refuse, unix.SYS_MREMAP), emulator)...)
		if r.exit != "exit status 126" || !strings.HasPrefix(r.error, "mitosis: this program has to be executed from memory") {
			t.Errorf("%q %q", r.exit, r.error)
		}
	})
}

// The machine code for arm64 does what Unfold does, whatever instructions it
// meets, up to the end of the code.
func TestAnyARM64CodeIsUnfolded(t *testing.T) {
	requireEmulator(t)
	exe := slimLikeKernel(t)
	b := binary.LittleEndian
	text := exe[headerSize:]
	for b.Uint32(text) != segLoad {
		text = text[segSize:]
	}
	end := int(b.Uint64(text[32:]))
	next := (end + page - 1) &^ (page - 1)
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, 0))
		size := uint64(end + random.IntN(next-end+1))
		b.PutUint64(text[32:], size) // p_filesz
		b.PutUint64(text[40:], size) // p_memsz
		clear(exe[end:next])
		for i := end; i+4 <= int(size); i += 4 {
			w := random.Uint32()
			switch random.IntN(3) {
			case 0:
				w = w&(1<<26-1) | 0x25<<26 // BL
			case 1:
				w = w&^0x9f000000 | 0x90000000 // ADRP
			}
			b.PutUint32(exe[i:], w)
		}
		f := folded(t, exe)
		again := bytes.Clone(f)
		if Unfold(again); !bytes.Equal(again, exe) {
			t.Fatalf("seed %d: folded and unfolded it is another", seed)
		}
		if r := execute(t, f, byKernel...); r.Hash != hashOf(exe) {
			t.Fatalf("seed %d: what is executed is another: %+v", seed, r)
		}
	}
}
