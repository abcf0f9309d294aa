package contexts_test

import (
	"context"
	"net/http"
	"os"
	"runtime"
	"testing"

	"go.uber.org/goleak"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
)

// openFiles returns the number of descriptors of a context.
var openFiles = contexts.NewFunc("test.openfiles", func(context.Context, struct{}) (int, error) {
	list, err := os.ReadDir("/proc/self/fd")
	return len(list), err
})

// noLeaks fails the test if it leaves goroutines or descriptors in this process. Call it before the
// test makes anything that its own cleanup ends.
func noLeaks(t *testing.T) {
	t.Helper()
	current := goleak.IgnoreCurrent()
	starter := goleak.IgnoreTopFunction("github.com/mitosis-go/mitosis/connect/internal/tool.serveStarts") // it is for all of the process
	if r, w, err := os.Pipe(); err == nil {                                                                // from the first one on, Go's poller has descriptors of its own
		r.Close()
		w.Close()
	}
	before := descriptors()
	t.Cleanup(func() {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		if err := goleak.Find(current, starter); err != nil {
			t.Error(err)
		}
		eventually(t, "the descriptors are closed", func() bool {
			runtime.GC() // package net keeps pipes for splice until then
			return len(descriptors()) <= len(before)
		})
		if t.Failed() {
			t.Logf("the descriptors before were %v, now they are %v", before, descriptors())
		}
	})
}

// sameFiles fails the test if a context has more descriptors at the end of the test than now.
func sameFiles(t *testing.T, n *contexts.Node) {
	t.Helper()
	count := func() int {
		c, err := openFiles.Call(context.Background(), n, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before := count()
	t.Cleanup(func() {
		eventually(t, "the far descriptors are closed", func() bool { return count() <= before })
	})
}

// descriptors returns the open files of this process, in no order.
func descriptors() (list []string) {
	for _, fd := range must(os.ReadDir("/proc/self/fd")) {
		name, _ := os.Readlink("/proc/self/fd/" + fd.Name()) // one is that of ReadDir, closed by now
		list = append(list, fd.Name()+": "+name)
	}
	return list
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var eventually = treetest.Eventually
