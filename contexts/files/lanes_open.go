package files

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
	"github.com/mitosis-go/mitosis/core"
)

// door is where further lanes reach the process at the far end of a copy: a socket of its
// host.
type door struct {
	Address string
	Secret  []byte
	User    int // numeric; -1: the system has none
}

// secretSize is the size of the secret of a door, in bytes.
const secretSize = 32

// doorTime bounds how long a process that has reached a door may take to show the secret.
const doorTime = 10 * time.Second

// socketBuffer is how much waits in a socket between the processes of a host, in bytes. It
// lasts for a tenth of a second at 10 MB/s, in which a busy host runs the other process.
const socketBuffer = 1 << 20

// laneConn passes a lane on to the process with the door, which runs on the same host.
var laneConn = contexts.NewConnFunc("mitosis.files.lane", func(ctx context.Context, c net.Conn, d door) error {
	s, err := d.dial(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", core.ErrRefused, err)
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { s.Close() })()
	_ = s.SetWriteBuffer(socketBuffer)
	if _, err := s.Write(d.Secret); err != nil {
		return err
	}
	return joinConns(c, s)
})

// dial connects to a door. The other end of the copy, which has sent it, may be hostile and on
// another host: it can't make this process connect to other sockets.
func (d *door) dial(ctx context.Context) (*net.UnixConn, error) {
	if us := os.Getuid(); us != d.User {
		return nil, fmt.Errorf("it runs as user %d, and the other end of the copy as user %d", us, d.User)
	}
	if !isDoor(d.Address) || len(d.Secret) != secretSize {
		return nil, errors.New("the other end of the copy names a socket of another kind")
	}
	s, err := new(net.Dialer).DialContext(ctx, "unix", d.Address)
	if err != nil {
		return nil, fmt.Errorf("the other end of the copy is not on its host, or not in its namespaces: %w", err)
	}
	return s.(*net.UnixConn), nil
}

// joinConns passes bytes between two connections until one of them ends, and closes both.
func joinConns(c, s net.Conn) error {
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(c, s)
		c.Close()
		s.Close()
	}()
	_, err := io.Copy(s, c)
	s.Close()
	c.Close()
	<-back
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// openLanes runs this side of a copy over a bundle, whose further lanes go over the given
// targets. The other side runs acceptLanes.
func openLanes(ctx context.Context, first stream, over []contexts.Target, side func(conn) (Result, error)) (Result, error) {
	d, err := readDoor(first)
	if err != nil {
		return Result{}, err
	}
	b := newBundle(first, len(over))
	defer b.close()
	stop := context.AfterFunc(ctx, func() { b.Reset(context.Cause(ctx)) })
	defer stop()
	errs := make([]error, len(over))
	sideBySide(len(over), len(over), func(i int) { errs[i] = b.openLane(ctx, over[i], d) })
	if err := errors.Join(errs...); err != nil {
		b.Reset(err)
		return Result{}, err
	}
	res, err := side(b)
	if err == nil {
		b.finish()
	}
	return res, err
}

// openLane adds a lane that goes over a target. It adds none if the target is lost
// meanwhile: the others do without.
func (b *bundle) openLane(ctx context.Context, over contexts.Target, d door) error {
	n, err := contexts.NodeOf(ctx, over)
	if err != nil {
		return failedAt(over, "spread over", reasonWithin(err))
	}
	c, err := dial(ctx, n, laneConn, d)
	if err == nil {
		stop := context.AfterFunc(ctx, func() { c.Reset(context.Cause(ctx)) })
		_, err = io.ReadFull(c, make([]byte, headSize))
		if !stop() && err != nil {
			err = context.Cause(ctx)
		}
	}
	switch {
	case err == nil:
		b.add(c)
	case errors.Is(err, core.ErrGone):
		return nil
	default:
		if c != nil {
			c.Close()
		}
		return failedAt(over, "spread over", wire.Unexpected(err))
	}
	return nil
}

// acceptLanes runs the far side of a copy. With lanes above 0 it opens a door, tells the other
// end, and runs the side over a bundle, to which lanes are added as they come.
func acceptLanes(first stream, lanes int, side func(conn) error) error {
	if lanes <= 0 {
		return side(first)
	}
	if lanes > maxLanes {
		return fmt.Errorf("%w: more than %d further connections", core.ErrTooLarge, maxLanes)
	}
	l, remove, err := listenHere()
	if err != nil {
		return fmt.Errorf("a socket for further connections: %w", err)
	}
	defer remove()
	d := door{Address: l.Addr().String(), Secret: make([]byte, secretSize), User: os.Getuid()}
	rand.Read(d.Secret)
	if err := writeDoor(first, &d); err != nil {
		l.Close()
		return err
	}
	b := newBundle(first, lanes)
	ctx, cancel := context.WithCancel(context.Background())
	var visitors sync.WaitGroup
	visitors.Go(func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			visitors.Go(func() { b.admit(ctx, c, d.Secret) })
		}
	})
	err = side(b)
	if err == nil {
		b.finish()
	} else {
		b.Reset(err)
	}
	cancel()
	l.Close()
	visitors.Wait()
	b.close()
	return err
}

// admit makes a lane of a connection that shows the secret, before ctx ends.
func (b *bundle) admit(ctx context.Context, c *net.UnixConn, secret []byte) {
	if !isOurs(c) {
		c.Close()
		return
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	shown := make([]byte, len(secret))
	c.SetDeadline(time.Now().Add(doorTime))
	_, err := io.ReadFull(c, shown)
	if err != nil || subtle.ConstantTimeCompare(shown, secret) == 0 || !stop() {
		c.Close()
		return
	}
	c.SetDeadline(time.Time{})
	_ = c.SetWriteBuffer(socketBuffer)
	// The other end of the lane waits for its first bytes.
	var head [headSize]byte
	putHead(head[:], kindAck, 0, 0)
	if _, err := c.Write(head[:]); err != nil {
		c.Close()
		return
	}
	b.add(c)
}

// maxDoor bounds an encoded door, in bytes.
const maxDoor = 4 << 10

func writeDoor(w io.Writer, d *door) error {
	body, err := core.Marshal(d)
	if err != nil {
		return err
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	return err
}

func readDoor(r io.Reader) (d door, err error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return d, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxDoor {
		return d, wire.ProtocolError("a door that is too large")
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return d, err
	}
	if err := core.Unmarshal(body, &d); err != nil {
		return d, wire.ProtocolError("a door that can't be decoded")
	}
	return d, nil
}
