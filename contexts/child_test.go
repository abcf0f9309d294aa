package contexts

import (
	"context"
	"log/slog"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	localhop "github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/router"
)

// TestLocalLinksAreWrittenInline checks the type of a link to a local child. The router knows a
// carrier's abilities by the type of its link, and a wrapper could hide them.
func TestLocalLinksAreWrittenInline(t *testing.T) {
	carrier, err := localhop.Child{}.Open(context.Background(), &connect.OpenRequest{
		CommandLine: "exec /bin/cat", Argv: []string{"/bin/cat"}, Exec: "/bin/cat", ExecArgv: []string{"cat"},
		Ready: make(chan struct{}), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer carrier.Close()
	w, ok := newCarrierLink(carrier, carrier).(router.TryWriter)
	if !ok || w.TryWrite([]byte("hello")) != 5 {
		t.Fatal("the link to a local child is no TryWriter, or did not write 5 bytes, want both")
	}
	b := make([]byte, 10)
	if n, err := carrier.Read(b); string(b[:n]) != "hello" || err != nil {
		t.Errorf("the child returned %q, %v, want hello", b[:n], err)
	}
	if _, ok := newCarrierLink(carrier, hostileCarrier{}).(router.TryWriter); ok {
		t.Error("the link of a carrier that can't try a write is a TryWriter, want it not to be")
	}
}
