//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "github.com/mitosis-go/mitosis/"

// sourceRoot returns the directory of the project's source. The working directory of the bench is
// in one of its modules.
func sourceRoot(ctx context.Context) (string, error) {
	return goCommand(ctx, ".", "list", "-m", "-f", "{{.Dir}}", strings.TrimSuffix(module, "/"))
}

// build builds a program of the project into a directory of its own, with the flags that make it
// small. The hosts of the lab see it only by a bind. The caller calls remove.
func build(ctx context.Context, pkg string) (name string, remove func(), err error) {
	in, err := sourceRoot(ctx)
	if err != nil {
		return "", nil, err
	}
	if strings.HasPrefix(pkg, "integration/") {
		in = filepath.Join(in, "integration") // integration is a module of its own
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	name = filepath.Join(dir, filepath.Base(pkg))
	if _, err := goCommand(ctx, in, "build", "-trimpath", "-ldflags", "-s -w", "-o", name, module+pkg); err != nil {
		remove()
		return "", nil, err
	}
	return name, remove, nil
}

// goCommand runs the go command in a directory and returns its output.
func goCommand(ctx context.Context, in string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = in, append(os.Environ(), "CGO_ENABLED=0")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(said.Bytes()))
	}
	return strings.TrimSpace(string(out)), nil
}
