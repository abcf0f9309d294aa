//go:build linux

package integration

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// A needle is a secret that tests look for.
type needle struct {
	Name  string
	Bytes []byte
}

// hunt has the needles to look for on a host, and the places in which to look.
type hunt struct {
	Needles []needle
	Files   []string // to search besides arguments and environments in /proc
	Memory  bool     // also in the memory of all processes, and in files that only they have
}

// A sighting is a secret that was found.
type sighting struct {
	Needle  string
	Place   string // a file, or an area of the process
	Process string // its name
	PID     string
	Area    string // of its memory
	Content string // of its arguments or its environment
}

func (s sighting) String() string {
	if s.Process == "" {
		return s.Needle + " is in " + s.Place
	}
	return strings.TrimSpace(fmt.Sprintf("%s is in %s of %s (%s) %s %q", s.Needle, s.Place, s.Process, s.PID, s.Area, s.Content))
}

// seek looks for secrets in places where they must never be: in the arguments and environments of
// processes, and in files. It has to run as root. It skips its own context, which has got the
// needles.
var seek = contexts.NewFunc("lab.seek", func(_ context.Context, h hunt) ([]sighting, error) {
	var found []sighting
	look := func(at sighting, b []byte) {
		for _, n := range h.Needles {
			if bytes.Contains(b, n.Bytes) {
				at.Needle = n.Name
				found = append(found, at)
			}
		}
	}
	lookInto := func(at sighting, path string) {
		// Files come and go, and some have nothing to read.
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
			if b, err := os.ReadFile(path); err == nil {
				look(at, b)
			}
		}
	}
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	for _, dir := range procs {
		comm, _ := os.ReadFile(dir + "/comm") // the process may have ended
		at := sighting{Process: string(bytes.TrimSpace(comm)), PID: filepath.Base(dir)}
		for _, at.Place = range []string{"cmdline", "environ"} {
			if b, err := os.ReadFile(dir + "/" + at.Place); err == nil {
				at.Content = string(bytes.ReplaceAll(b, []byte{0}, []byte{' '}))
				look(at, b)
			}
		}
		at.Content = ""
		if h.Memory && !ours(dir) {
			at.Place = "unnamed file"
			unlinked(dir, func(fd string) { lookInto(at, fd) })
			at.Place = "memory"
			readMemory(dir, func(area string, b []byte) {
				at.Area = area
				look(at, b)
			})
		}
	}
	for _, path := range h.Files {
		lookInto(sighting{Place: path}, path)
	}
	return found, nil
})

// unlinked calls f with the descriptors of a process whose files have no name, such as memfds.
func unlinked(dir string, f func(fd string)) {
	fds, _ := filepath.Glob(dir + "/fd/*")
	for _, fd := range fds {
		var st syscall.Stat_t
		if syscall.Stat(fd, &st) == nil && st.Nlink == 0 {
			f(fd)
		}
	}
}

// ours reports whether a process is the one that runs seek, or the guard above it.
func ours(dir string) bool {
	return dir == "/proc/"+itoa(os.Getpid()) || dir == "/proc/"+itoa(os.Getppid())
}

// seen is the least pause between two looks. The processes of interest live longer.
const seen = 5 * time.Millisecond

// A watch looks for secrets on a host again and again.
type watch struct {
	host *lab.Running
	root *contexts.Node
	hunt hunt

	stop chan struct{}
	once sync.Once
	done sync.WaitGroup

	// Guarded by done.
	found []sighting
	times int
	err   error
}

// watchFor starts to look for secrets in the processes of a host, from a tree
// of its own, until the test ends.
func watchFor(t *testing.T, host *lab.Running, secrets ...string) *watch {
	t.Helper()
	var h hunt
	for _, s := range secrets {
		h.Needles = append(h.Needles, needle{"a secret", []byte(s)})
	}
	return startWatch(t, host, enter(t, master(t, nil), host, ""), h)
}

// startWatch is like watchFor, with a context on the host that exists already.
func startWatch(t *testing.T, host *lab.Running, root *contexts.Node, h hunt) *watch {
	w := &watch{host: host, root: root, hunt: h, stop: make(chan struct{})}
	ctx := context.WithoutCancel(t.Context())
	w.done.Go(func() {
		for {
			began := time.Now()
			found, err := seek.Call(ctx, w.root, w.hunt)
			w.found = append(w.found, found...)
			w.times++
			if w.err = err; err != nil {
				return
			}
			select {
			case <-w.stop:
				return
			case <-time.After(max(time.Since(began), seen)): // the tests need processor time as well
			}
		}
	})
	t.Cleanup(func() { w.end(t) })
	return w
}

// end looks a last time, also into all files that the host does not share with the machine. It
// fails the test for all secrets that were ever found.
func (w *watch) end(t *testing.T) {
	t.Helper()
	w.once.Do(func() {
		close(w.stop)
		w.done.Wait()
		h := w.hunt
		h.Files = w.host.Upper()
		found, err := seek.Call(context.WithoutCancel(t.Context()), w.root, h)
		for _, err := range []error{w.err, err} {
			if err != nil {
				t.Errorf("looking for the secrets ended with %v, want no error", err)
			}
		}
		for _, f := range append(w.found, found...) {
			t.Errorf("on %s a secret was found, want none: %v", w.host.Name(), f)
		}
		t.Logf("%s was looked at %d times", w.host.Name(), w.times+1)
	})
}

// withholds checks that a secret is in none of the texts.
func withholds(t *testing.T, secret string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(text, secret) {
			t.Errorf("the text %q has a secret in it, want none", text)
		}
	}
}
