//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const module = "github.com/mitosis-go/mitosis/"

// build builds a program of this module, as small as its users would, into a
// directory beside this program, where the lab's hosts see it as well. remove
// takes it away.
func build(ctx context.Context, pkg string) (name string, remove func(), err error) {
	exe, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(exe), "bench-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	name = filepath.Join(dir, filepath.Base(pkg))
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", name, module+pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		remove()
		return "", nil, fmt.Errorf("building %s: %w: %s", pkg, err, bytes.TrimSpace(out))
	}
	return name, remove, nil
}
