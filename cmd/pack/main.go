// Pack builds a program that divides for several systems, as small as it can be sent,
// into files that contexts.Config.Images takes:
//
//	go run github.com/mitosis-go/mitosis/cmd/pack -o images -systems linux/amd64,linux/arm64 ./cmd/agent
//
// A program that embeds the files sends the agent in place of itself, to hosts of these
// systems, and neither builds nor packs anything at run time:
//
//	//go:embed images
//	var files embed.FS
//
//	images, _ := fs.Sub(files, "images")
//	self, err := contexts.Start(ctx, &contexts.Config{Images: images})
//
// The agent is a main package that calls contexts.Init and registers the same functions as the
// program: both import the package that has them. If the functions differ, the program ignores
// the files with a warning.
//
// The executables are static, without symbols and debugging data. They are packed with gzip, zstd
// and xz, by the tools zopfli, zstd and xz if these are installed, since they pack best. Without
// them the framework packs gzip and zstd itself, and there is no xz. Standard output has a line
// for each file: its name and its size in bytes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := packAll(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "pack:", err)
		}
		stop()
		os.Exit(1)
	}
}

// options are those of the command line.
type options struct {
	dir     string
	systems []system
	codecs  []image.Codec
	tags    string
	pkg     string
}

// A system is an operating system and an architecture, by their Go names.
type system struct{ goos, goarch string }

// file returns the beginning of the names of the system's files.
func (s system) file() string { return s.goos + "_" + s.goarch }

func parse(args []string, errOut io.Writer) (*options, error) {
	var o options
	flags := flag.NewFlagSet("pack", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.Usage = func() {
		fmt.Fprintln(errOut, "usage: pack [options] package")
		flags.PrintDefaults()
	}
	flags.StringVar(&o.dir, "o", "images", "`directory` for the files")
	systems := flags.String("systems", "linux/amd64,linux/arm64", "`list` of systems, as GOOS/GOARCH")
	codecs := flags.String("codecs", "gzip,zstd,xz", "`list` of codecs; gzip is always there")
	flags.StringVar(&o.tags, "tags", "", "build `tags`")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() != 1 {
		flags.Usage()
		return nil, errors.New("it takes one package")
	}
	o.pkg = flags.Arg(0)
	for _, name := range strings.Split(*systems, ",") {
		goos, goarch, ok := strings.Cut(name, "/")
		if !ok || goos == "" || goarch == "" || strings.Contains(goarch, "/") {
			return nil, fmt.Errorf("%q is not GOOS/GOARCH", name)
		}
		o.systems = append(o.systems, system{goos, goarch})
	}
	wanted := append(strings.Split(*codecs, ","), image.Gzip.String())
	for _, c := range []image.Codec{image.Gzip, image.Zstd, image.Xz} {
		if slices.Contains(wanted, c.String()) {
			o.codecs = append(o.codecs, c)
		}
		wanted = slices.DeleteFunc(wanted, func(name string) bool { return name == c.String() })
	}
	if len(wanted) > 0 {
		return nil, fmt.Errorf("%q is none of gzip, zstd, xz", wanted[0])
	}
	return &o, nil
}

func packAll(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parse(args, errOut)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "mitosis-pack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	b := &builder{options: o, temp: temp, out: out, errOut: errOut}
	fingerprint, err := b.fingerprint(ctx)
	if err != nil {
		return err
	}
	for _, s := range o.systems {
		if err := b.pack(ctx, s, fingerprint); err != nil {
			return fmt.Errorf("%s/%s: %w", s.goos, s.goarch, err)
		}
	}
	return nil
}
