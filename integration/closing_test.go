//go:build linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// byForce returns the lines of a log about contexts that were ended by force.
func byForce(j *journal) (lines []string) {
	for line := range strings.Lines(j.String()) {
		if strings.Contains(line, "by force") {
			lines = append(lines, line)
		}
	}
	return lines
}

// threeTiers makes a tree of 4 contexts below the master, and 6 below each of them.
func threeTiers(t *testing.T, self *contexts.Node) (middle, leaves []*contexts.Node) {
	t.Helper()
	middle = all(t, self, make200()[:4])
	for _, n := range middle {
		leaves = append(leaves, all(t, n, make200()[:6])...)
	}
	return middle, leaves
}

// freeze stops the process of a context, so that it answers no frame. It returns when all threads
// stand: kill returns before that, and on a busy machine the others answer for a while.
func freeze(t *testing.T, n *contexts.Node) {
	t.Helper()
	id, err := whoami.Call(t.Context(), n, struct{}{})
	if err == nil {
		err = syscall.Kill(id.PID, syscall.SIGSTOP)
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "all threads of the context stand", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", id.PID))
		return err == nil && len(threads) > 0 && !slices.ContainsFunc(threads, func(path string) bool {
			status, err := os.ReadFile(path)
			return err == nil && !strings.Contains(string(status), "T (stopped)")
		})
	})
}

// Contexts that don't end in order get one line in the log, however many there are and at
// whatever depth. Together they take one budget, and not one each or one for each tier.
func TestStuckTreeClosesOnceAndForAll(t *testing.T) {
	children := childProcesses(t)
	log, j := newJournal(t)
	self, err := contexts.Start(t.Context(), &contexts.Config{Log: log, CloseTimeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	middle, leaves := threeTiers(t, self)
	for _, n := range leaves {
		freeze(t, n)
	}
	start := time.Now()
	if err := self.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("closed in %v", time.Since(start))
	for _, n := range append(middle, leaves...) {
		expectEnd(t, n)
	}
	lines := byForce(j)
	if len(lines) != 1 || !strings.Contains(lines[0], "local") {
		t.Errorf("the log has %d lines about contexts ended by force, want one with the word local: %q", len(lines), lines)
	}
	eventually(t, patience, "no process is left", func() bool { return childProcesses(t) == children })
}

// One branch is closed by its parent, another from further up. Each time the log gets one line,
// and the rest of the tree goes on.
func TestStuckBranchIsClosed(t *testing.T) {
	t.Parallel()
	log, j := newJournal(t)
	// On a busy machine, too, this is enough for the contexts that are not frozen.
	self := master(t, &contexts.Config{Log: log, CloseTimeout: 10 * time.Second})
	middle, leaves := threeTiers(t, self)
	freeze(t, leaves[0])
	if err := leaves[0].Close(); err != nil { // by way of its parent
		t.Error(err)
	}
	if lines := byForce(j); len(lines) != 1 || !strings.Contains(lines[0], "contexts=1 ") {
		t.Errorf("the log has the lines %q about force, want one line about one context", lines)
	}
	freeze(t, leaves[1])
	freeze(t, leaves[2])
	if err := middle[0].Close(); err != nil { // with all below it
		t.Error(err)
	}
	if lines := byForce(j); len(lines) != 2 {
		t.Errorf("the log has the lines %q about force, want two lines", lines)
	}
	for _, n := range leaves[:6] {
		expectEnd(t, n)
	}
	everyone(t, append(middle[1:], leaves[6:]...))
}

// A tree in which all contexts answer ends in order, and the log says nothing about it.
func TestWideTreeClosesInOrder(t *testing.T) {
	t.Parallel()
	log, j := newJournal(t)
	self, err := contexts.Start(t.Context(), &contexts.Config{Log: log, CloseTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	middle, leaves := threeTiers(t, self)
	everyone(t, append(middle, leaves...))
	if err := self.Close(); err != nil {
		t.Error(err)
	}
	if lines := byForce(j); len(lines) != 0 {
		t.Errorf("the log tells of contexts that were killed: %q, want none", lines)
	}
}
