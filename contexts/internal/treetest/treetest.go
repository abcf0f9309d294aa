// Package treetest has what tests of trees begin with. Their TestMain must call
// contexts.Init.
package treetest

import (
	"log/slog"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
)

// Start starts a tree that ends with the test. With a nil cfg its log is the
// test's.
func Start(t *testing.T, cfg *contexts.Config) *contexts.Node {
	t.Helper()
	if cfg == nil {
		cfg = &contexts.Config{Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	}
	self, err := contexts.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := self.Close(); err != nil {
			t.Error(err)
		}
	})
	return self
}

// Child starts a context on the same host.
func Child(t *testing.T, of *contexts.Node) *contexts.Node {
	t.Helper()
	n, err := of.Connect(t.Context(), local.Child{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Eventually waits until a condition holds, 20 s at the most.
func Eventually(t testing.TB, what string, holds func() bool) {
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
