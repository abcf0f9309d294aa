package contexts

import (
	"context"
	"log/slog"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	localhop "github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/router"
)

// TestLocalLinksAreWrittenInline: the router finds out by the type of a link
// what its carrier can do, which a wrapper hides easily.
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
		t.Fatal("the link to a local child is no TryWriter")
	}
	b := make([]byte, 10)
	if n, err := carrier.Read(b); string(b[:n]) != "hello" || err != nil {
		t.Errorf("%q, %v", b[:n], err)
	}
	if _, ok := newCarrierLink(carrier, hostileCarrier{}).(router.TryWriter); ok {
		t.Error("a connection is a TryWriter")
	}
}
