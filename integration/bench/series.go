//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// A series has the values of several rounds.
type series []float64

func (s series) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// least returns the smallest value. It is for a physical limit, a time that other work can only
// make longer.
func (s series) least() float64 {
	if len(s) == 0 {
		return 0
	}
	return slices.Min(s)
}

// A subject is measured in turns with others, so that other work of the machine
// disturbs all of them alike.
type subject struct {
	name    string
	measure func(context.Context) (float64, error)
	results series
}

const (
	hang   = 2 * time.Minute  // A single measurement that takes longer is a failure.
	enough = 20 * time.Second // After this time no more rounds begin, once fewest have counted.
	fewest = 3
)

// inTurns measures every subject once per round, in at most n rounds. The first round warms
// up caches and heaps and does not count.
func inTurns(ctx context.Context, n int, subjects ...*subject) error {
	began := time.Now()
	for i := range n + 1 {
		if i > fewest && time.Since(began) > enough {
			return nil
		}
		for _, s := range subjects {
			v, err := s.bounded(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			if i > 0 {
				s.results = append(s.results, v)
			}
		}
	}
	return nil
}

// bounded calls measure with a deadline.
func (s *subject) bounded(ctx context.Context) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, hang)
	defer cancel()
	return s.measure(ctx)
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// megabytes returns a rate in units of 10^6 bytes per second.
func megabytes(bytes int64, d time.Duration) float64 { return float64(bytes) / 1e6 / d.Seconds() }

// self returns a command that runs this program again, in a role.
func self(ctx context.Context, args ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Stderr = os.Stderr
	cmd.Env = os.Environ()
	if quick {
		cmd.Env = append(cmd.Env, "BENCH_QUICK=1")
	}
	return cmd, nil
}

// decodeLines decodes the output of a role.
func decodeLines[T any](out []byte) ([]T, error) {
	var all []T
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	for lines.Scan() {
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			return all, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		all = append(all, v)
	}
	return all, lines.Err()
}
