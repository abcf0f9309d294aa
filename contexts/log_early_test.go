package contexts_test

import (
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
)

// A child may log before it has its link to the parent, for example because its image can't be kept.
// The record arrives, and so do those that come after it.
func TestRecordsOfTheFirstMoment(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("images are kept on Linux only")
	}
	var mu sync.Mutex
	var shown strings.Builder
	self := start(t, &contexts.Config{Cache: true, PackedDir: os.DevNull, Log: slog.New(slog.NewTextHandler(lockedWriter{&mu, &shown}, nil))})
	hop := local.Exec{Argv: []string{"env", "-u", "XDG_CACHE_HOME", "HOME=/nonexistent"}}
	const children = 10
	for range children {
		n, err := self.Connect(t.Context(), hop)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := logs.Call(t.Context(), n, struct{}{}); err != nil {
			t.Fatal(err)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"can't be kept in the cache", `msg="a record"`} {
		if n := strings.Count(shown.String(), want); n != children {
			t.Errorf("want %d records of %q, got %d", children, want, n)
		}
	}
}
