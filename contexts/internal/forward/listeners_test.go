package forward

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// TestUnclaimedConnectionsEndWithTheContext closes a listener in order. Its owner has accepted a
// connection, and not claimed it when the context ends.
func TestUnclaimedConnectionsEndWithTheContext(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all Listeners
	held := all.Add(7, ln)
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	id, _, err := held.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := all.CloseListener(8, held.ID(), id); !errors.Is(err, net.ErrClosed) {
		t.Errorf("another context ended the listener: got %v, want an error that matches net.ErrClosed", err)
	}
	if err := all.CloseListener(7, held.ID(), id); err != nil {
		t.Fatalf("its owner could not end the listener: %v", err)
	}
	held.Remove()
	if _, err := all.Claim(8, held.ID(), id); !errors.Is(err, net.ErrClosed) {
		t.Errorf("another context claimed the connection: got %v, want an error that matches net.ErrClosed", err)
	}
	all.Close()
	_ = peer.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the context has ended and nobody will claim the connection: its peer read %v, want a reset", err)
	}
	if _, err := all.Claim(7, held.ID(), id); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a connection was claimed after the end: got %v, want an error that matches net.ErrClosed", err)
	}
}
