package contexts_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/mitosis-go/mitosis/contexts"
)

var talk = contexts.NewFunc("test.talk", func(_ context.Context, lines int) (struct{}, error) {
	for i := range lines {
		fmt.Printf("line %d\n", i)
		slog.Info("record", "n", i)
	}
	fmt.Print("and the last")
	return struct{}{}, nil
})

// All output and records of a context are shown when it is closed, even an unfinished line.
func TestLastWords(t *testing.T) {
	const lines = 1000
	var mu sync.Mutex
	var shown, printed strings.Builder
	self := start(t, &contexts.Config{
		Log:    slog.New(slog.NewTextHandler(lockedWriter{&mu, &shown}, nil)),
		Output: lockedWriter{&mu, &printed},
	})
	n := child(t, child(t, self))
	if _, err := talk.Call(t.Context(), n, lines); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := self.Close(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Count(printed.String(), "[local/local] line "); got != lines {
		t.Errorf("%d lines of output were shown, want %d", got, lines)
	}
	if got := strings.Count(shown.String(), "msg=record"); got != lines {
		t.Errorf("%d records were shown, want %d", got, lines)
	}
	if !strings.HasSuffix(printed.String(), "[local/local] and the last\n") {
		t.Error("the unfinished last line was not shown, want it at the end")
	}
}
