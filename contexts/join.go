package contexts

import (
	"io"
	"net"
	"sync"
)

// Join copies both ways between two connections until both sides have said all
// they had to say, and closes both. It is what forwarding is made of: one of
// the two is usually of [Node.DialContext] or of a listener of [Node.Listen].
//
// A half-close is passed on as one where the connection has CloseWrite() error,
// and a failure of either side as a reset of the other where that has
// SetLinger(int) error. The error is the first that a side failed with. To end
// it from elsewhere close either connection.
func Join(a, b net.Conn) error {
	var (
		wg    sync.WaitGroup
		once  sync.Once
		first error
	)
	half := func(dst, src net.Conn) {
		_, err := io.Copy(dst, src)
		if w, ok := dst.(closeWriter); ok && err == nil {
			err = w.CloseWrite()
		}
		if err != nil {
			once.Do(func() {
				first = err
				abort(a)
				abort(b)
			})
		}
	}
	wg.Go(func() { half(a, b) })
	wg.Go(func() { half(b, a) })
	wg.Wait()
	_ = a.Close()
	_ = b.Close()
	return first
}
