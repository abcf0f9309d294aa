//go:build linux

package integration

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// hunt is what to look for on a host, and where.
type hunt struct {
	Needles [][]byte
	Dirs    []string // files below these, besides what /proc tells
	Memory  bool     // also in the memory of all processes
}

// seek looks for a secret where it must never be: in the arguments and
// environments of processes, and in files. It has to run as root. What it finds
// in itself, to which the needles were sent, doesn't count.
var seek = contexts.NewFunc("lab.seek", func(ctx context.Context, h hunt) ([]string, error) {
	var found []string
	look := func(path string, b []byte) {
		for _, needle := range h.Needles {
			if bytes.Contains(b, needle) {
				found = append(found, path)
				return
			}
		}
	}
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	for _, dir := range procs {
		for _, name := range []string{"cmdline", "environ"} {
			if b, err := os.ReadFile(dir + "/" + name); err == nil { // it may have ended
				look(dir+"/"+name+": "+string(bytes.ReplaceAll(b, []byte{0}, []byte{' '})), b)
			}
		}
		if h.Memory && !ours(dir) {
			readMemory(dir, func(area string, b []byte) { look(dir+"/mem "+area, b) })
		}
	}
	for _, dir := range h.Dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil // files come and go
			}
			if b, err := os.ReadFile(path); err == nil {
				look(path, b)
			}
			return ctx.Err()
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
})

// ours tells whether a process is the one that seeks, or the guard above it.
func ours(dir string) bool {
	return dir == "/proc/"+itoa(os.Getpid()) || dir == "/proc/"+itoa(os.Getppid())
}

// A watch looks for secrets on a host again and again.
type watch struct {
	root *contexts.Node
	hunt hunt

	stop chan struct{}
	once sync.Once
	done sync.WaitGroup

	// Guarded by done.
	found []string
	times int
	err   error
}

// watchFor starts to look for secrets in the processes of a host, from a tree
// of its own, until the test ends.
func watchFor(t *testing.T, host *lab.Running, secrets ...string) *watch {
	t.Helper()
	w := &watch{root: enter(t, master(t, nil), host, ""), stop: make(chan struct{})}
	for _, s := range secrets {
		w.hunt.Needles = append(w.hunt.Needles, []byte(s))
	}
	ctx := context.WithoutCancel(t.Context())
	w.done.Go(func() {
		for {
			found, err := seek.Call(ctx, w.root, w.hunt)
			w.found = append(w.found, found...)
			w.times++
			if w.err = err; err != nil {
				return
			}
			select {
			case <-w.stop:
				return
			default:
			}
		}
	})
	t.Cleanup(func() { w.end(t) })
	return w
}

// end looks a last time, into files as well, and says what was found.
func (w *watch) end(t *testing.T) {
	t.Helper()
	w.once.Do(func() {
		close(w.stop)
		w.done.Wait()
		h := w.hunt
		h.Dirs = []string{"/etc", "/home", "/root", "/tmp", "/run", "/var/log", "/var/lib", "/var/tmp", "/dev/shm"}
		found, err := seek.Call(context.WithoutCancel(t.Context()), w.root, h)
		for _, err := range []error{w.err, err} {
			if err != nil {
				t.Errorf("looking for the secrets: %v", err)
			}
		}
		for _, f := range append(w.found, found...) {
			t.Errorf("a secret is in %s", f)
		}
		t.Logf("the processes were looked at %d times", w.times)
	})
}

// withholds makes sure that a secret is in no text.
func withholds(t *testing.T, secret string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(text, secret) {
			t.Errorf("the secret is in %q", text)
		}
	}
}
