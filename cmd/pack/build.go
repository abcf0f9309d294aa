package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// A builder makes the files of one package.
type builder struct {
	*options
	temp        string // a directory of its own
	out, errOut io.Writer
}

// build makes the executable for a system.
func (b *builder) build(ctx context.Context, s system, path string) error {
	args := []string{"build", "-trimpath", "-ldflags=-s -w", "-o", path}
	if b.tags != "" {
		args = append(args, "-tags="+b.tags)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, b.pkg)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+s.goos, "GOARCH="+s.goarch)
	if os.Getenv("GOARM") == "" {
		cmd.Env = append(cmd.Env, "GOARM=6") // 7, the default, does not run on every processor that says arm
	}
	cmd.Stderr = b.errOut
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build %s: %w", b.pkg, err)
	}
	return nil
}

// fingerprint returns the fingerprint of the package's functions. It is the same for all
// systems, so the package is built for this one, and run to tell it.
func (b *builder) fingerprint(ctx context.Context) (sum [32]byte, err error) {
	path := filepath.Join(b.temp, "here.exe") // Windows needs the suffix
	if err := b.build(ctx, system{runtime.GOOS, runtime.GOARCH}, path); err != nil {
		return sum, err
	}
	out, err := exec.CommandContext(ctx, path, image.FingerprintArg).Output()
	digits, wrong := hex.DecodeString(strings.TrimSpace(string(out)))
	if err == nil && len(digits) != len(sum) {
		err = fmt.Errorf("it printed %.40q", out)
	}
	if err = errors.Join(err, wrong); err != nil {
		return sum, fmt.Errorf("%s is no program that divides (contexts.Init must be the first statement of main), or does not run here: %w", b.pkg, err)
	}
	return [32]byte(digits), nil
}

// pack makes the files for a system. The file with the sums, without which the others don't
// count, comes last.
func (b *builder) pack(ctx context.Context, s system, fingerprint [32]byte) error {
	path := filepath.Join(b.temp, s.file())
	if err := b.build(ctx, s, path); err != nil {
		return err
	}
	img, err := image.Open(os.DirFS(b.temp), s.file(), s.goos, s.goarch)
	if err != nil {
		return err
	}
	if img.Loader != "" {
		return fmt.Errorf("the executable needs %s", img.Loader)
	}
	if why := img.Whole(); why != nil {
		fmt.Fprintf(b.errOut, "pack: %s is larger than it could be: %v\n", s.file(), why)
	}
	slim, err := img.Encoded(ctx, image.Raw, nil)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, slim, 0o644); err != nil {
		return err
	}
	base := filepath.Join(b.dir, s.file())
	for _, c := range []image.Codec{image.Gzip, image.Zstd, image.Xz} {
		_ = os.Remove(base + c.Suffix()) // an old one
	}
	for _, c := range b.codecs {
		data, err := b.encode(ctx, img, c, path)
		if errors.Is(err, exec.ErrNotFound) {
			fmt.Fprintf(b.errOut, "pack: %v is not installed, %s%s is left out\n", c, s.file(), c.Suffix())
			continue
		}
		if err == nil {
			err = os.WriteFile(base+c.Suffix(), data, 0o644)
		}
		if err != nil {
			return fmt.Errorf("%v: %w", c, err)
		}
		fmt.Fprintf(b.out, "%s %d\n", base+c.Suffix(), len(data))
	}
	return os.WriteFile(base+".sum", []byte(img.Sum(fingerprint)), 0o644)
}

// A tool packs a file to standard output, and unpacks its standard input with another
// command line.
type tool struct{ pack, unpack []string }

// toolFor returns the tool for a codec. It packs smaller than the packer of package bootstrap.
func toolFor(c image.Codec, goarch string) tool {
	switch c {
	case image.Gzip:
		return tool{[]string{"zopfli", "-c"}, []string{"gzip", "-dc"}}
	case image.Zstd:
		return tool{[]string{"zstd", "-q", "-c", "--ultra", "-22", "--single-thread", "--no-check"}, []string{"zstd", "-dcq"}}
	}
	xz := []string{"xz", "-c", "--check=crc32"}
	// The targets of calls pack better when they are absolute. Filters for other
	// architectures are too young for some far sides, or no gain.
	switch goarch {
	case "amd64", "386":
		xz = append(xz, "--x86", "--lzma2=preset=9e,lc=4,lp=0,pb=0")
	case "arm":
		xz = append(xz, "--arm", "--lzma2=preset=9e")
	default:
		xz = append(xz, "--lzma2=preset=9e")
	}
	return tool{xz, []string{"xz", "-dc"}}
}

// encode packs an image, which is the file at path. The error matches [exec.ErrNotFound] if
// nothing is installed that packs it.
func (b *builder) encode(ctx context.Context, img *image.Image, c image.Codec, path string) ([]byte, error) {
	data, err := toolFor(c, img.GOARCH).encode(ctx, path)
	if !errors.Is(err, exec.ErrNotFound) || c == image.Xz {
		return data, err
	}
	if err := img.Improve(ctx, c, nil); err != nil {
		return nil, err
	}
	return img.Encoded(ctx, c, nil)
}

func (t tool) encode(ctx context.Context, path string) ([]byte, error) {
	whole, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	packed, err := output(ctx, nil, append(t.pack[:len(t.pack):len(t.pack)], path))
	if err != nil {
		return nil, err
	}
	again, err := output(ctx, packed, t.unpack)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, whole) {
		return nil, fmt.Errorf("%s does not unpack what %s has packed", t.unpack[0], t.pack[0])
	}
	return packed, nil
}

func output(ctx context.Context, in []byte, argv []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = bytes.NewReader(in)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", argv[0], err, bytes.TrimSpace(said.Bytes()))
	}
	return out, nil
}
