// Command imagesize prints how large the executables that are its arguments
// become on their way to a far side: a line for each, with their bytes as
// built, slim, and slim in each codec, packed fast and at best.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/mitosis-go/mitosis/bootstrap/image"
	"github.com/mitosis-go/mitosis/bootstrap/internal/slim"
)

func main() {
	for _, name := range os.Args[1:] {
		if err := show(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func show(name string) error {
	exe, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	whole := len(exe)
	exe, err = slim.Strip(exe)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Printf("%s built %d slim %d", name, whole, len(exe))
	img := image.New(exe, runtime.GOOS, runtime.GOARCH)
	for _, codec := range []image.Codec{image.Gzip, image.Zstd} {
		quick, err := img.Encoded(context.Background(), codec, nil)
		if err != nil {
			return err
		}
		if err := img.Improve(context.Background(), codec, nil); err != nil {
			return err
		}
		best, err := img.Encoded(context.Background(), codec, nil)
		if err != nil {
			return err
		}
		fmt.Printf(" %v %d best %d", codec, len(quick), len(best))
	}
	fmt.Println()
	return nil
}
