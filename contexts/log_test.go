package contexts_test

import (
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/mitosis-go/mitosis/contexts"
)

func TestLogsAndOutput(t *testing.T) {
	var mu sync.Mutex
	var shown, printed strings.Builder
	cfg := &contexts.Config{
		Log:    slog.New(slog.NewTextHandler(lockedWriter{&mu, &shown}, nil)),
		Output: lockedWriter{&mu, &printed},
	}
	self := start(t, cfg)
	b := child(t, child(t, self))
	if _, err := logs.Call(t.Context(), b, struct{}{}); err != nil {
		t.Fatal(err)
	}
	if err := self.Close(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{`msg="a record"`, "a=1", "g.b=two", "context=local/local", "level=WARN"} {
		if !strings.Contains(shown.String(), want) {
			t.Errorf("the log is\n%s\nwant %q in it", shown.String(), want)
		}
	}
	if strings.Contains(shown.String(), "too quiet") {
		t.Error("a debug record arrived, want it left out")
	}
	for _, want := range []string{"[local/local] printed\n", "[local/local] shouted\n"} {
		if !strings.Contains(printed.String(), want) {
			t.Errorf("the output is\n%s\nwant %q in it", printed.String(), want)
		}
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
