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

// build builds a program of testdata as the product is built, without the race
// detector.
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

// traffic runs testdata/traffic. It must not log anything: honest traffic is within
// every quota.
func traffic(t *testing.T, program string, result any, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil || said.Len() > 0 {
		t.Fatalf("%v: %v\n%s", args, err, said.String())
	}
	if err := json.Unmarshal(out, result); err != nil {
		t.Fatalf("%v printed no result, %v: %s", args, err, out)
	}
	t.Logf("%s: %s", strings.Join(args, " "), bytes.TrimSpace(out))
}

// processBudget is by how much a process may grow, in MiB: the default of
// Limits.ReceiveBudget or SendBudget, as none does both here, and what the
// collector of garbage leaves behind.
const processBudget = 64 + 32

// However much is offered to readers that stall, three hops away: no process
// grows beyond its budget, and others go on as before.
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
				// The window of one has 16 MiB at most.
				budget := float64(min(processBudget, 32*streams))
				for i, grown := range s.Grown {
					if grown > budget {
						t.Errorf("process %d of %d grew by %.0f MiB, which is above %.0f", i, len(s.Grown), grown, budget)
					}
				}
				// Nothing of them is in the way any more: all is as fast as
				// without, but for what else the machine does.
				if s.Stalled > 5*s.Idle {
					t.Errorf("a call took %.0f us, and takes %.0f while they stall", s.Idle, s.Stalled)
				}
				if s.Beside < s.Alone/3 {
					t.Errorf("another stream moved %.0f MiB/s, and moves %.0f while they stall", s.Alone, s.Beside)
				}
			})
		}
	}
}

// Calls and bulk share a link, in both directions. What else the machine does in
// the meantime is no fault of either: one of a few attempts has to succeed, and
// a busy machine makes every call slower, those beside the bulk as well.
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
	t.Errorf("none of %d attempts found calls and bulk that leave each other alone", attempts)
}

func middle(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
