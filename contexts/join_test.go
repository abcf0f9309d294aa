package contexts_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/mitosis-go/mitosis/contexts"
)

// joined returns the outer ends of two connections that are joined. One leads to this process, and
// a context has dialled the other.
func joined(t *testing.T, n *contexts.Node) (client, server *net.TCPConn, result chan error) {
	t.Helper()
	far, peer := dialPair(t, n, "tcp")
	ln := must(net.Listen("tcp", "127.0.0.1:0"))
	defer ln.Close()
	client = must(net.Dial("tcp", ln.Addr().String())).(*net.TCPConn)
	near := must(ln.Accept())
	result = make(chan error, 1)
	go func() { result <- contexts.Relay(near, far) }()
	t.Cleanup(func() { client.Close() })
	return client, peer.(*net.TCPConn), result
}

func TestJoinedConnectionsAreOne(t *testing.T) {
	b := grandchild(t)
	sameFiles(t, b)
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		client, server, result := joined(t, b)
		return client, server, func() {
			client.Close()
			server.Close()
			<-result
		}, nil
	})
	t.Run("half-close", func(t *testing.T) {
		client, server, result := joined(t, b)
		must(client.Write([]byte("question")))
		client.CloseWrite()
		if got, err := io.ReadAll(server); err != nil || string(got) != "question" {
			t.Fatalf("the server read %q, %v, want question", got, err)
		}
		must(server.Write([]byte("answer")))
		server.Close()
		if got, err := io.ReadAll(client); err != nil || string(got) != "answer" {
			t.Errorf("the client read %q, %v, want answer", got, err)
		}
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
	t.Run("reset", func(t *testing.T) {
		for i := range 2 {
			client, server, result := joined(t, b)
			from, to := client, server
			if i == 1 {
				from, to = server, client
			}
			from.SetLinger(0)
			from.Close()
			if _, err := io.ReadAll(to); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("after a reset the other end reads %v, want %v", err, syscall.ECONNRESET)
			}
			if err := <-result; !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("after a reset Relay returned %v, want %v", err, syscall.ECONNRESET)
			}
		}
	})
}
