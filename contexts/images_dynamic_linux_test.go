package contexts_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// dynamicProgram is a program that was built with cgo. Its dynamic loader has a path of its own.
type dynamicProgram struct{ path, loader string }

func buildDynamic(t *testing.T) dynamicProgram {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("this test hides files in mount namespaces, which needs root")
	}
	dir := t.TempDir()
	p := dynamicProgram{path: filepath.Join(dir, "dynamic"), loader: filepath.Join(dir, "lib", "ld.so")}
	sh, err := exec.Command("sh", "-c", `set -e; mkdir "$1/lib"; cp -L "$(ldd "$(command -v env)" | grep -o '/[^ ]*/ld-[^ ]*')" "$1/lib/ld.so"`, "sh", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("finding the dynamic loader: %v\n%s", err, sh)
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w -I "+p.loader, "-o", p.path, "./testdata/dynamic")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return p
}

// run runs the program, which makes a hop. It returns both outputs.
func (p dynamicProgram) run(t *testing.T, args ...string) (out, errOut string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), p.path, args...)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+t.TempDir(), "GOCACHE="+strings.TrimSpace(string(must(exec.Command("go", "env", "GOCACHE").Output()))))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

// in returns a command line that runs commands in a new mount namespace, and then its arguments.
func in(commands string) []string {
	return []string{"unshare", "-m", "sh", "-c", commands + ` && exec "$@"`, "sh"}
}

// busyboxTree makes a root file system that has a static busybox and no library.
func busyboxTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("sh", "-c", `set -e; cd "$1"; mkdir bin dev proc tmp; mknod -m 666 dev/null c 1 3; cp "$(command -v busybox)" bin/busybox
for x in $(bin/busybox --list); do ln -s busybox bin/$x 2>/dev/null || :; done`, "sh", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// A program that was built with cgo is replaced by a static one if its loader or its libraries are
// missing at the far side. If there is no static one, the error says how to make one.
func TestProgramThatNeedsALoader(t *testing.T) {
	p := buildDynamic(t)
	hidden := in("mount -t tmpfs none " + filepath.Dir(p.loader))
	broken := in("mount --bind /bin/false " + p.loader)
	tree := busyboxTree(t)
	type far struct {
		name   string
		method string // start method; "" for any
		argv   []string
	}
	fars := []far{{"busybox only", "", in("mount -t proc proc " + tree + "/proc && mount -t tmpfs -o mode=1777 none " + tree + "/tmp && set -- chroot " + tree + ` "$@"`)}}
	methods := []string{bootstrap.StartPerl, bootstrap.StartPython, bootstrap.StartRAM, bootstrap.StartTmpfs, bootstrap.StartDisk}
	if testing.Short() {
		methods = methods[:3]
	}
	for _, method := range methods {
		fars = append(fars, far{"no loader, " + method, method, hidden}, far{"no library, " + method, method, broken})
	}
	for _, f := range fars {
		t.Run(f.name, func(t *testing.T) {
			args := append([]string{"-method=" + f.method}, f.argv...)
			out, errOut, err := p.run(t, args...)
			if err != nil || out != "static static\nstatic static\n" {
				t.Errorf("%v, it printed %q, want a static program in both trees\n%s", err, out, errOut)
			}
			if n := strings.Count(errOut, "build it with CGO_ENABLED=0"); n != 1 || !strings.Contains(errOut, "level=WARN") {
				t.Errorf("%d warnings of the loader in two trees, want 1:\n%s", n, errOut)
			}
			out, errOut, err = p.run(t, append([]string{"-nobuild"}, args...)...)
			if err == nil || !strings.Contains(errOut, "this program needs "+p.loader) || !strings.Contains(errOut, "does not have: build it with CGO_ENABLED=0") {
				t.Errorf("%v, it printed %q; want an error that names the loader and the remedy:\n%s", err, out, errOut)
			}
		})
	}
	t.Run("the loader is there", func(t *testing.T) {
		if out, errOut, err := p.run(t, append([]string{"-nobuild"}, in(":")...)...); err != nil || out != "dynamic dynamic\ndynamic dynamic\n" {
			t.Errorf("%v, it printed %q, want the program itself\n%s", err, out, errOut)
		}
	})
	// A far side on this host executes the program itself, if its loader and libraries are there.
	for name, setup := range map[string]string{"no loader": ":", "no library": `mkdir -p "$1/$(dirname "$2")" && cp "$2" "$1/$2"`} {
		t.Run("a chroot, "+name, func(t *testing.T) {
			script := setup + ` && mount -t proc proc "$1/proc" && mount -t tmpfs -o mode=1777 none "$1/tmp" && exec "$3" chroot "$1"`
			q := dynamicProgram{path: "/usr/bin/env"}
			out, errOut, err := q.run(t, "unshare", "-m", "sh", "-c", script, "sh", busyboxTree(t), p.loader, p.path)
			if err != nil || out != "static static\nstatic static\n" {
				t.Errorf("%v, it printed %q, want a static program\n%s", err, out, errOut)
			}
		})
	}
	t.Run("the second time", func(t *testing.T) {
		out, errOut, err := p.run(t, append([]string{"-twice"}, hidden...)...)
		if err != nil || out != strings.Repeat("static static\n", 4) {
			t.Errorf("%v, it printed %q, want a static program each time\n%s", err, out, errOut)
		}
	})
}
