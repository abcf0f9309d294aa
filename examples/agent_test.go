package examples_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"testing"
)

// embedded builds a program of this module with files in a folder that it embeds, as if
// they were there, and returns its path.
func embedded(t *testing.T, pkg, folder, files string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(files, "*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("files to embed: %v, %v", names, err)
	}
	at, err := filepath.Abs(folder)
	if err != nil {
		t.Fatal(err)
	}
	replace := make(map[string]string)
	for _, name := range names {
		replace[filepath.Join(at, filepath.Base(name))] = name
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "program")
	goCommand(t, "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", bin, pkg)
	return bin
}

func goCommand(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, out)
	}
}

// sizeThere is the size of the program that the example has found at the far side.
func sizeThere(t *testing.T, bin string) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bin)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+os.DevNull)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	expect(t, string(out), `^command:shell: \S+ runs a program of \d+ bytes\n$`)
	size, _ := strconv.Atoi(string(regexp.MustCompile(`(\d+) bytes`).FindSubmatch(out)[1]))
	return size
}

// The program is replaced by its agent at the far side, which is smaller, when that was
// packed from the same sources; an agent of other functions is passed over.
func TestAgent(t *testing.T) {
	here := runtime.GOOS + "/" + runtime.GOARCH
	pack := func(pkg string) string {
		dir := t.TempDir()
		goCommand(t, "run", "../cmd/pack", "-o", dir, "-systems", here, "-codecs", "gzip", pkg)
		return dir
	}
	bin := embedded(t, "./agent", "agent/images", pack("./agent/agent"))
	agent := sizeThere(t, bin)
	program, err := os.Stat(bin)
	if err != nil {
		t.Fatal(err)
	}
	if int64(agent) >= program.Size() {
		t.Errorf("what runs there has %d bytes, the program %d: want less", agent, program.Size())
	}

	stale := embedded(t, "./agent", "agent/images", pack("./callback"))
	cmd := exec.CommandContext(t.Context(), stale)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+os.DevNull)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("with an agent of other functions: %v\n%s", err, out)
	}
	expect(t, string(out), `WARN the image in Config.Images is not used .*it registers other functions`, `runs a program of \d+ bytes`)
}
