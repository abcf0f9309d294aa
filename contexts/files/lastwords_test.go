package files

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/core"
)

// closedConn is a connection whose other side has closed it: writes tell so at
// once, and the reason comes after that.
type closedConn struct{ written chan struct{} }

func (c *closedConn) Write([]byte) (int, error) {
	select {
	case <-c.written:
	default:
		close(c.written)
	}
	return 0, &core.Error{Kind: core.KindClosed}
}

func (c *closedConn) Read([]byte) (int, error) {
	<-c.written
	return 0, fs.ErrPermission
}

func (c *closedConn) Reset(error) {}

func (c *closedConn) Done() <-chan struct{} { return c.written }

func TestTheReasonOfTheReceiverIsTheError(t *testing.T) {
	src, err := sourceOf(strings.NewReader("content"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sendTree(&closedConn{make(chan struct{})}, src, Options{}); !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}
