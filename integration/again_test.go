//go:build linux

package integration

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// Only the first connect packs the image, even on a machine so busy that sending takes long. No
// later connect waits for the image to be packed again.
func TestLaterConnectsTakeNoMoreProcessorTime(t *testing.T) {
	lab.Require(t)
	if !testing.Short() { // other tests keep it busy, too
		keepBusy(t)
	}
	// The far side reads nothing for a second.
	slow := local.Exec{Argv: []string{"/bin/sh", "-c", `{ sleep 1; exec cat; } | "$@"`, "relay", local.PlaceArgv}}
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

// A program keeps the packed image for later programs, in a directory that only its user may
// read.
func TestPackedImageIsKeptForTheNextProgram(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	const cache = "/root/cache"
	packed := func() string {
		out, _ := o.desk.Exec(t.Context(), "sh", "-c", "stat -c '%a %U %s %n' "+cache+"/mitosis/packed "+cache+"/mitosis/packed/*")
		return out
	}
	// The command runs until the image has been packed in the background.
	const wait = `for i in $(seq 600); do [ -e go ] && exit; sleep .1; done; exit 1`
	cmd := o.desk.Command(t.Context(), o.program, "run", o.path, "--", "sh", "-c", wait)
	cmd.Env = append(cmd.Env, "XDG_CACHE_HOME="+cache)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "a packed image", func() bool { return strings.Contains(packed(), ".zstd") })
	if out, err := o.web.Exec(t.Context(), "touch", "/home/deploy/go"); err != nil {
		t.Fatal(err, out)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the first run ended with %v, want no error: %s", err, said.String())
	}
	first := packed()
	if !strings.HasPrefix(first, "700 root ") {
		t.Errorf("the directory and its files are %q, want mode 700 of the user", first)
	}
	cmd = o.desk.Command(t.Context(), o.program, "run", o.path, "--", "true")
	cmd.Env = append(cmd.Env, "XDG_CACHE_HOME="+cache)
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if second := packed(); second != first {
		t.Errorf("after a second run the directory holds %q, want it unchanged: %q", second, first)
	}
}

// processorTime is the processor time that the test process has used so far.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// keepBusy starts two processes for each processor that use it all the time. They run until the
// test ends, even if a signal ends it.
func keepBusy(t *testing.T) {
	t.Helper()
	var ended sync.WaitGroup
	t.Cleanup(ended.Wait) // runs after the kills
	for range 2 * runtime.NumCPU() {
		p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", "while kill -0 $PPID 2>/dev/null; do :; done"}, &os.ProcAttr{})
		if err != nil {
			t.Fatal(err)
		}
		ended.Go(func() { _, _ = p.Wait() })
		t.Cleanup(func() { _ = p.Kill() })
	}
}
