//go:build linux

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// The command line starts for every command, so its start is to cost little beyond that of any Go
// program: less than 3 ms where an empty one takes 0.9 ms. The bounds are facts that do not depend
// on the machine: what the packages allocate before main, how much of the program is read in, and
// the ratio to an empty program in the same run. A regular expression at the level of a package,
// or options that are declared for all commands at once, show in the first two.
const (
	mostAllocations = 2_750 // with Go 1.26 there are 2,550
	mostFaults      = 380   // beyond those of an empty program: there are 310 to 345
	mostRatio       = 4.0   // on an idle machine it is 2.7
)

func TestTheCommandLineStartsFast(t *testing.T) {
	lab.Require(t)
	dir := t.TempDir()
	program, empty, source := buildProgram(t), filepath.Join(dir, "empty"), filepath.Join(dir, "empty.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	goCommand(t, "build", "-trimpath", "-ldflags", "-s -w", "-o", empty, source)

	cmd := exec.CommandContext(t.Context(), program, "version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var trace strings.Builder
	cmd.Stderr = &trace
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	allocations, most := 0, ""
	for _, one := range regexp.MustCompile(`(?m)^init (\S+) .* (\d+) allocs$`).FindAllStringSubmatch(trace.String(), -1) {
		n, err := strconv.Atoi(one[2])
		if err != nil {
			t.Fatal(err)
		}
		if allocations += n; n > 50 {
			most += fmt.Sprintf(" %s %d", one[1], n)
		}
	}
	if allocations == 0 || allocations > mostAllocations {
		t.Errorf("the packages allocate %d times before main, want at most %d; most are of%s", allocations, mostAllocations, most)
	}

	// The least of many runs is that of one which nothing has disturbed.
	floor, ours := startOf{time.Hour, 1 << 40}, startOf{time.Hour, 1 << 40}
	for range 150 {
		floor.run(t, empty)
		ours.run(t, program, "version")
	}
	ratio := float64(ours.took) / float64(floor.took)
	t.Logf("%d allocations before main; %+v, an empty program %+v: ratio %.1f", allocations, ours, floor, ratio)
	if ours.faults-floor.faults > mostFaults {
		t.Errorf("version has %d page faults and an empty program %d, want at most %d more", ours.faults, floor.faults, mostFaults)
	}
	if ratio > mostRatio {
		t.Errorf("version takes %v, %.1f times the %v of an empty program, want at most %.1f times", ours.took, ratio, floor.took, mostRatio)
	}
}

// startOf is the least that runs of a program took, and of their page faults.
type startOf struct {
	took   time.Duration
	faults int64
}

func (s *startOf) run(t *testing.T, argv ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	began := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	s.took = min(s.took, time.Since(began))
	s.faults = min(s.faults, cmd.ProcessState.SysUsage().(*syscall.Rusage).Minflt)
}
