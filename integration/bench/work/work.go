// Package work has the functions of contexts that the benchmarks call.
package work

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// Empty does nothing.
var Empty = contexts.NewFunc("bench.empty", func(context.Context, struct{}) (struct{}, error) {
	return struct{}{}, nil
})

// Run runs a command a number of times, and returns the time that took.
var Run = contexts.NewFunc("bench.run", func(ctx context.Context, c Command) (time.Duration, error) {
	began := time.Now()
	for range c.Times {
		if err := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...).Run(); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
})

// A Command is the argument of Run.
type Command struct {
	Argv  []string
	Times int
}

// PackedDir is where the measured program keeps packed images, in the client host.
const PackedDir = "/dev/shm/mitosis-packed"

// PackedImage returns the file of the one image that is packed for a host with zstd.
func PackedImage() (string, error) {
	found, err := filepath.Glob(filepath.Join(PackedDir, "*.zstd"))
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%s has %d images for zstd, want 1", PackedDir, len(found))
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}
