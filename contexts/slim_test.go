package contexts_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
)

var hasLines = contexts.NewFunc("test.haslines", func(context.Context, struct{}) (bool, error) {
	_, file, _, ok := runtime.Caller(0)
	return ok && file != "?", nil
})

// An image has no line numbers, unless it is built for the race detector, which is sent whole. The
// stack of a panic at a far side still has them, at any depth of the tree.
func TestPanicWhereThereAreNoLines(t *testing.T) {
	self := start(t, nil)
	far, err := self.Connect(t.Context(), local.Exec{Argv: []string{"env"}})
	if err != nil {
		t.Fatal(err)
	}
	deep := child(t, child(t, far))
	for _, n := range []*contexts.Node{far, deep} {
		lines, err := hasLines.Call(t.Context(), n, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%v has lines: %v", n, lines)
		_, err = panics.Call(t.Context(), n, "ouch")
		var p *contexts.PanicError
		if !errors.As(err, &p) || p.Value != "ouch" || !strings.Contains(p.Stack, "contexts_test.go:") {
			t.Fatalf("the call ended with %v, want a *contexts.PanicError with lines of contexts_test.go", err)
		}
		calls, _, _ := strings.Cut(p.Stack, "created by")
		if !strings.HasPrefix(calls, "goroutine ") || strings.Contains(calls, "?:0") {
			t.Errorf("the stack of %v lacks lines, want a file and line for each call:\n%s", n, p.Stack)
		}
	}
}
