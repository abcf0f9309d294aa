package contexts

import (
	"net"

	"github.com/mitosis-go/mitosis/contexts/internal/forward"
)

// Relay copies both ways between two connections until both sides have said all
// they had to say, and closes both. It is what forwarding is made of: one of
// the two is usually of [Node.DialContext] or of a listener of [Node.Listen].
//
// A half-close is passed on as one where the connection has CloseWrite() error,
// and a failure of either side as a reset of the other where that has
// SetLinger(int) error. The error is the first that a side failed with. To end
// it from elsewhere close either connection.
func Relay(a, b net.Conn) error { return forward.Join(a, b) }
