//go:build linux

package bootstrap

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mitosis-go/mitosis/bootstrap/image"
	"github.com/mitosis-go/mitosis/bootstrap/internal/exitprogram"
)

// A shell that takes a program of a foreign format for a script does not succeed.
func TestExitProgramIsNoScript(t *testing.T) {
	for _, shell := range systemShells {
		for _, goarch := range []string{"amd64", "386", "arm64"} {
			path, err := exec.LookPath(shell[0])
			if err != nil {
				t.Skip(err)
			}
			program := filepath.Join(t.TempDir(), "exit")
			syscall.ForkLock.RLock() // else a child of another test may hold it open for writing
			err = os.WriteFile(program, exitprogram.For(goarch), 0o700)
			syscall.ForkLock.RUnlock()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(path, append(append([]string{}, shell[1:]...), program)...)
			cmd.Dir = t.TempDir()
			err = cmd.Run()
			if made, _ := os.ReadDir(cmd.Dir); len(made) > 0 {
				t.Errorf("%v takes the program for %s for a script, and makes %q", shell, goarch, made[0].Name())
			}
			if _, failed := errors.AsType[*exec.ExitError](err); !failed {
				t.Errorf("%v takes the program for %s for a script, and that ends with %v", shell, goarch, err)
			}
		}
	}
}

// saysMachine makes uname tell another machine.
func saysMachine(t *testing.T, machine string) (dir string) {
	t.Helper()
	dir = tools(t, append(slices.DeleteFunc(slices.Clone(basics), func(s string) bool { return s == "uname" }), "perl", "python3", "unshare", "gzip", "sha256sum")...)
	if err := os.WriteFile(filepath.Join(dir, "uname"), []byte("#!/bin/sh\necho Linux "+machine+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Whether a host executes an image is found out there by each start method, before the image
// replaces anything; where it does not, the image for the other architecture that
// the processor may have is sent.
func TestImageThatIsNotExecuted(t *testing.T) {
	needRoot(t)
	// A machine whose numbers of system calls are ours, and an image that is for another.
	const foreign = "riscv64"
	dir := saysMachine(t, "i686")
	for _, method := range startMethods {
		for _, sibling := range []bool{false, true} {
			name := method + " alone"
			if sibling {
				name = method + " with another"
			}
			t.Run(name, func(t *testing.T) {
				delete(siblings, foreign)
				if sibling {
					siblings[foreign] = "amd64"
					t.Cleanup(func() { delete(siblings, foreign) })
				}
				o := opts()
				o.StartMethods = []string{method}
				o.Images = func(ctx context.Context, goos, goarch string) (*image.Image, error) {
					if goarch == "386" {
						return image.New(exitprogram.For(foreign), goos, foreign), nil
					}
					return image.OwnSource(ctx, goos, goarch)
				}
				l := NewLaunch(o)
				c := start(t, l.in(dir, ""))
				if sibling {
					answers(t, born(t, l, c, ""))
					return
				}
				_, err := l.Run(bound(t), c)
				if !errors.Is(err, ErrNoImage) || !strings.Contains(err.Error(), "does not execute programs for linux/"+foreign) {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}
