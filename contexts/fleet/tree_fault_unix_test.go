//go:build unix

package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
	"github.com/mitosis-go/mitosis/router"
)

var pidAndGuard = contexts.NewFunc("fleet.processes", func(context.Context, struct{}) ([]int, error) {
	return []int{os.Getpid(), os.Getppid()}, nil
})

// upsAndLeaves is a group of 4 members above 30. A member above others is refused while the
// file of its name is in the directory. Links are given up after 300 ms of silence.
func upsAndLeaves(t *testing.T, tree func(ups, leaves HostSet) *Tree) (g *Group, refused string) {
	t.Helper()
	ups, leaves := mustParse(t, "up[1-4]"), mustParse(t, "n[1-30]")
	refused = t.TempDir()
	self := treetest.Start(t, &contexts.Config{
		Log:    slog.New(slog.NewTextHandler(t.Output(), nil)),
		Limits: router.Limits{Heartbeat: 100 * time.Millisecond, Missed: 5},
	})
	g, err := New(self, ups.Union(leaves), &Config{
		Tree: tree(ups, leaves),
		Host: contexts.ManagedHostConfig{MinDelay: time.Millisecond, MaxDelay: 100 * time.Millisecond, Attempt: 5 * time.Second},
		Hops: func(name string) ([]connect.Method, error) {
			return []connect.Method{local.Exec{Name: name, Argv: []string{
				"sh", "-c", `[ ! -e ` + refused + `/` + name + ` ] && exec "$@"; echo refused >&2; exit 9`, "sh"}}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g, refused
}

// Contexts on the way are killed, frozen and refused at random moments, while members are
// connected and called: each member has one result, in the end all are reached, and nothing is
// left.
func TestContextsOnTheWayFailAtRandom(t *testing.T) {
	for name, tree := range map[string]func(ups, leaves HostSet) *Tree{
		"rules": func(ups, leaves HostSet) *Tree { return &Tree{Rules: []Rule{{Hosts: leaves, Via: ups}}} },
		"auto":  func(ups, _ HostSet) *Tree { return &Tree{Auto: &Auto{Among: ups}} },
	} {
		for _, gather := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, gathered %v", name, gather), func(t *testing.T) {
				g, refused := upsAndLeaves(t, tree)
				g = g.With(Policy{Gather: gather, Retry: Retry{Attempts: 3, AtOnce: true}})
				seed := rand.Uint64()
				t.Logf("seed %d", seed)
				dice := rand.New(rand.NewPCG(seed, 0))
				var processes []int
				rounds := 6
				if testing.Short() {
					rounds = 2
				}
				for range rounds {
					victim := g.Member(fmt.Sprintf("up%d", 1+dice.IntN(4)))
					fault, after := dice.IntN(3), time.Duration(dice.IntN(150))*time.Millisecond
					done := make(chan []int)
					go func() { done <- harm(t, victim, fault, after, refused) }()
					seen := make(map[string]int)
					for m, r := range Call(t.Context(), g, pid, struct{}{}) {
						if seen[m.Name()]++; r.Err != nil && !errors.Is(r.Err, contexts.ErrGone) {
							t.Errorf("%v: %v, want no error but ErrGone", m, r.Err)
						}
					}
					processes = append(processes, <-done...)
					for name := range g.Hosts().All() {
						if seen[name] != 1 {
							t.Errorf("%s had %d results, want 1", name, seen[name])
						}
					}
				}
				for m, r := range Do(t.Context(), g, func(ctx context.Context, _ *Member, n *contexts.Node) ([]int, error) {
					return pidAndGuard.Call(ctx, n, struct{}{})
				}) {
					if processes = append(processes, r.Value...); r.Err != nil && !errors.Is(r.Err, contexts.ErrGone) {
						t.Errorf("%v: %v, want that it is reached", m, r.Err)
					}
				}
				if err := g.Close(); err != nil {
					t.Error(err)
				}
				treetest.Eventually(t, "no process of the tree is left", func() bool {
					for _, p := range processes {
						if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p)); err == nil && !strings.Contains(string(stat), ") Z ") {
							return false
						}
					}
					return true
				})
			})
		}
	}
}

// harm does one of three things to a member, and returns its processes.
func harm(t *testing.T, m *Member, fault int, after time.Duration, refused string) []int {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	processes, err := pidAndGuard.Call(ctx, m.Target(), struct{}{})
	if err != nil {
		return nil // another harm was first
	}
	time.Sleep(after)
	signal := syscall.SIGKILL
	switch fault {
	case 1:
		signal = syscall.SIGSTOP
	case 2:
		file := refused + "/" + m.Name()
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Error(err)
		}
		defer os.Remove(file)
	}
	for _, p := range processes {
		_ = syscall.Kill(p, signal)
	}
	time.Sleep(after)
	return processes
}
