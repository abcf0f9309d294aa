//go:build linux

package integration

import (
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// Packing belongs to the first connect, also on a machine so busy that the image is
// under way for long: no later connect waits for the image to be packed once more.
func TestLaterConnectsTakeNoMoreProcessorTime(t *testing.T) {
	lab.Require(t)
	keepBusy(t)
	// Nothing is taken from the pipe for a second.
	slow := connect.Command{Argv: []string{"/bin/sh", "-c", `{ sleep 1; exec cat; } | "$@"`, "relay", connect.PlaceArgv}}
	dir := filepath.Join(t.TempDir(), "packed")
	self := master(t, &contexts.Config{PackedDir: dir})
	connected := func() time.Duration {
		before := processorTime(t)
		n := child(t, self, slow)
		took := processorTime(t) - before
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		return took
	}
	first := connected()
	// The best packing goes on in the background, once.
	eventually(t, 2*patience, "a packed image in "+dir, func() bool {
		kept, _ := filepath.Glob(dir + "/*-*.*")
		return len(kept) > 0
	})
	var later []time.Duration
	var sum time.Duration
	for range 5 {
		later = append(later, connected())
		sum += later[len(later)-1]
	}
	if sum > first {
		t.Errorf("five later connects took %v of the processor, want at most the %v of the first together", later, first)
	}
}

// processorTime is what the test process has used so far.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// keepBusy has two processes for each processor that never rest, until the test
// ends.
func keepBusy(t *testing.T) {
	t.Helper()
	var ended sync.WaitGroup
	t.Cleanup(ended.Wait) // runs after the kills
	for range 2 * runtime.NumCPU() {
		p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", "while :; do :; done"}, &os.ProcAttr{})
		if err != nil {
			t.Fatal(err)
		}
		ended.Go(func() { _, _ = p.Wait() })
		t.Cleanup(func() { _ = p.Kill() })
	}
}
