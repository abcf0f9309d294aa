//go:build linux

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// build builds a program of testdata with the flags of a release, and without the race detector.
func build(t *testing.T, name string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "./testdata/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// traffic runs testdata/traffic and decodes its result. The program must log nothing: honest
// traffic exceeds no quota.
func traffic(t *testing.T, program string, result any, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil || said.Len() > 0 {
		t.Fatalf("traffic %v ended with %v, want no error and no message:\n%s", args, err, said.String())
	}
	if err := json.Unmarshal(out, result); err != nil {
		t.Fatalf("%v printed no result, %v: %s", args, err, out)
	}
	t.Logf("%s: %s", strings.Join(args, " "), bytes.TrimSpace(out))
}

// processBudget bounds the growth of a process, in MiB. It is the default of Limits.ReceiveBudget
// or SendBudget, since no process here needs both, and room for garbage that is not yet collected.
const processBudget = 64 + 32

// Readers three hops away stall, and are offered 1 GiB. No process grows beyond its budget, and
// other streams and calls go on as before.
func TestStalledReaders(t *testing.T) {
	program := build(t, "traffic")
	for _, way := range []string{"down", "up"} {
		for _, streams := range []int{1, 16, 1000} {
			t.Run(fmt.Sprint(way, streams), func(t *testing.T) {
				var s struct {
					Grown                        []float64
					Idle, Stalled, Alone, Beside float64
				}
				traffic(t, program, &s, "local/local/local", "stalled", strconv.Itoa(streams), way)
				// A stream's window has at most 16 MiB.
				budget := float64(min(processBudget, 32*streams))
				for i, grown := range s.Grown {
					if grown > budget {
						t.Errorf("process %d of %d grew by %.0f MiB, want at most %.0f", i, len(s.Grown), grown, budget)
					}
				}
				// The stalled streams hold nothing up: calls and other streams are as fast
				// as before, but for other work of the machine.
				if s.Stalled > 5*s.Idle {
					t.Errorf("a call takes %.0f us while the streams stall, want at most 5 times the %.0f from before", s.Stalled, s.Idle)
				}
				if s.Beside < s.Alone/3 {
					t.Errorf("another stream moves %.0f MiB/s while the streams stall, want at least a third of the %.0f from before", s.Beside, s.Alone)
				}
			})
		}
	}
}

// Calls and bulk share a link, in both directions. Other work of the machine may slow down both,
// so one of a few attempts has to succeed. It also slows down the calls on links without bulk,
// with which the calls are compared.
func TestCallsDuringBulk(t *testing.T) {
	program := build(t, "traffic")
	const attempts = 6
	for range attempts {
		var l struct{ Idle, Busy, Beside, Alone, With []float64 }
		traffic(t, program, &l, "local", "bulk")
		toIdle, toBeside, left := middle(l.Busy)/middle(l.Idle), middle(l.Busy)/middle(l.Beside), middle(l.With)/middle(l.Alone)
		t.Logf("a call takes %.1f times as long as on an idle machine, %.1f times as long as beside the bulk; bulk keeps %.0f %%",
			toIdle, toBeside, 100*left)
		if (toIdle <= 5 || toBeside <= 3) && left >= 0.9 {
			return
		}
	}
	t.Errorf("in each of %d attempts calls and bulk slowed each other down too much, want one without (the log has the ratios)", attempts)
}

func middle(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
