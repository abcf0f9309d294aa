package contexts_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
)

var architecture = contexts.NewFunc("test.architecture", func(context.Context, struct{}) (string, error) {
	return runtime.GOARCH, nil
})

// machine returns a hop to this host, on which uname prints another machine.
func machine(t *testing.T, name string) connect.Method {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\necho Linux " + name + "\n" // to uname -sm
	if err := os.WriteFile(filepath.Join(dir, "uname"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return local.Exec{Name: name, Argv: []string{"/usr/bin/env", "PATH=" + dir + ":/usr/bin:/bin"}}
}

// executes386 reports whether this kernel executes programs of 32 bits.
func executes386(t *testing.T) bool {
	t.Helper()
	dir := t.TempDir()
	source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "main")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", program, source)
	build.Env = append(os.Environ(), "GOARCH=386", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	err := exec.Command(program).Run()
	if err != nil && !errors.Is(err, syscall.ENOEXEC) {
		t.Fatal(err)
	}
	return err == nil
}

// A 32-bit x86 machine is as foreign to a 64-bit program as any other, but the same processor
// executes its programs. A kernel that claims to be one, and does not execute 32-bit programs, gets
// a 64-bit image.
func TestForeignImageIsBuiltAndRuns(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("this test needs a processor that executes programs of another architecture")
	}
	// The toolchain keeps its own cache, with which a build takes seconds and not minutes.
	t.Setenv("GOCACHE", strings.TrimSpace(string(must(exec.Command("go", "env", "GOCACHE").Output()))))
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	narrow := "386"
	if !executes386(t) {
		narrow = "amd64"
	}
	is := func(n *contexts.Node, want string) {
		t.Helper()
		if got, err := architecture.Call(t.Context(), n, struct{}{}); err != nil || got != want {
			t.Errorf("%v runs an image for %q, error %v, want %q", n, got, err, want)
		}
	}
	connected := func(from *contexts.Node, m connect.Method) *contexts.Node {
		t.Helper()
		n, err := from.Connect(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	small := machine(t, "i686")
	self := start(t, nil)
	a := connected(self, small)
	is(a, narrow)
	sent := func() uint64 {
		for _, info := range must(self.Tree(t.Context())) {
			if info.Node.ID() == a.ID() {
				return info.BytesSent
			}
		}
		return 0
	}
	// A context makes children of its own system from its own image.
	before := sent()
	is(connected(a, small), narrow)
	is(connected(a, local.Child{}), narrow)
	if more := sent() - before; more > 16<<10 {
		t.Errorf("%d bytes were sent to a context that makes children of its own system, want at most 16 KiB", more)
	}
	// For another system it gets an image from the master. Here that system is the master's own.
	is(connected(a, machine(t, "x86_64")), "amd64")

	// The next master of the same executable finds the image that was built.
	again := start(t, &contexts.Config{Sources: "/nonexistent"})
	is(connected(again, small), narrow)
}
