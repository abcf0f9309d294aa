package images

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// keptExecutables is the number of executables whose images are kept.
const keptExecutables = 8

// buildImage returns the image for another system that was built for this executable
// before, or builds it.
func buildImage(ctx context.Context, sys System, sources string) (*image.Image, error) {
	own, err := image.Own()
	if err != nil {
		return nil, err
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	base = filepath.Join(base, "mitosis", "images")
	dir := filepath.Join(base, hex.EncodeToString(own.Hash[:]))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, sys.File())
	if _, err := os.Stat(path); err != nil {
		if err := build(ctx, sys, sources, path); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	_ = os.Chtimes(dir, now, now) // only the order in which others are forgotten
	forgetImages(base)
	return image.Open(os.DirFS(dir), sys.File(), sys.GOOS, sys.GOARCH)
}

// build makes an executable of this program for another system. It appears under
// its name when it is complete.
func build(ctx context.Context, sys System, sources, path string) error {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Path == "" || info.Path == "command-line-arguments" {
		return errors.New("the executable does not say what package it was built from")
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		return err
	}
	main, verb := info.Path, []string{"build"}
	if pkg, isTest := strings.CutSuffix(main, ".test"); isTest {
		main, verb = pkg, []string{"test", "-c"}
	}
	dir, err := sourcesOf(ctx, tool, main, sources)
	if err != nil {
		return err
	}
	half := path + ".new" + fmt.Sprint(os.Getpid())
	defer os.Remove(half)
	args := append(verb, "-trimpath", "-ldflags=-s -w", "-o", half)
	for _, s := range info.Settings {
		if s.Key == "-tags" {
			args = append(args, "-tags="+s.Value)
		}
	}
	if _, err := goTool(ctx, tool, dir, sys, append(args, main)...); err != nil {
		return err
	}
	return os.Rename(half, path)
}

// sourcesOf returns a directory from which the package can be built.
func sourcesOf(ctx context.Context, tool, main, sources string) (string, error) {
	places := []string{sources}
	if sources == "" {
		places = places[:0]
		if dir, err := os.Getwd(); err == nil {
			places = append(places, dir)
		}
		if exe, err := os.Executable(); err == nil {
			places = append(places, filepath.Dir(exe))
		}
	}
	err := errors.New("there is no directory to look for the sources in")
	for _, dir := range places {
		if _, err = goTool(ctx, tool, dir, System{}, "list", "-find", main); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("sources of %s (see Config.Sources): %w", main, err)
}

// goTool runs the go command. Its error has the text that the command printed.
func goTool(ctx context.Context, tool, dir string, sys System, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "PWD="+dir)
	if sys.GOOS != "" {
		cmd.Env = append(cmd.Env, "GOOS="+sys.GOOS, "GOARCH="+sys.GOARCH)
		if os.Getenv("GOARM") == "" {
			cmd.Env = append(cmd.Env, "GOARM=6") // 7, the default, does not run on every processor that says arm
		}
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		text := strings.TrimSpace(said.String())
		return "", fmt.Errorf("go %s in %s: %w: %.400s", args[0], dir, err, text)
	}
	return string(out), nil
}

// forgetImages removes the images of executables that were not used for the
// longest time, beyond keptExecutables.
func forgetImages(base string) {
	image.KeepNewest(base, keptExecutables, func(fs.DirEntry) bool { return true })
}
