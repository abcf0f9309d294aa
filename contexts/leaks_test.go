package contexts_test

import (
	"context"
	"net/http"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mitosis-go/mitosis/contexts"
)

// openFiles tells how many descriptors a context has.
var openFiles = contexts.NewFunc("test.openfiles", func(context.Context, struct{}) (int, error) {
	list, err := os.ReadDir("/proc/self/fd")
	return len(list), err
})

// noLeaks makes the test fail if it leaves goroutines or descriptors behind in
// this process. It must come before anything that the test's own cleanup ends.
func noLeaks(t *testing.T) {
	t.Helper()
	current := goleak.IgnoreCurrent()
	starter := goleak.IgnoreTopFunction("github.com/mitosis-go/mitosis/connect.serveStarts") // it is for all of the process
	before := len(must(os.ReadDir("/proc/self/fd")))
	t.Cleanup(func() {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		if err := goleak.Find(current, starter); err != nil {
			t.Error(err)
		}
		eventually(t, "the descriptors are closed", func() bool {
			return len(must(os.ReadDir("/proc/self/fd"))) <= before
		})
	})
}

// sameFiles makes the test fail if a context has more descriptors in the end
// than now.
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

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Errorf("it never came to it that %s", what)
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
