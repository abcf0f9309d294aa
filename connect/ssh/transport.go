package ssh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
	"github.com/mitosis-go/mitosis/connect/internal/printable"
)

// transport opens the byte stream to the server: through the jump host, by the
// proxy command, or by a dialer.
func (d *dial) transport(ctx context.Context, s *Login, set *settings, via *client) (net.Conn, error) {
	switch {
	case via != nil:
		conn, err := via.dial(ctx, set.host, set.port)
		if errors.Is(err, connect.ErrPermission) {
			err = fmt.Errorf("%w; where a jump host forwards nothing (AllowTcpForwarding), a context on it can make the hop: %s/ssh:%s",
				err, via.path, s.destination())
		}
		return conn, err
	case set.proxyCommand != "":
		command, err := set.tokens.ExpandCommand(set.proxyCommand)
		if err != nil {
			return nil, err
		}
		return startProxy(d.env, command)
	}
	conn, err := d.dialServer(ctx, s, set)
	if err != nil {
		return nil, failure.OfDial(err)
	}
	return conn, nil
}

// dial opens a connection from the host of c (RFC 4254, section 7.2). The opening of a channel
// can't be cancelled, and the jump host may need minutes to find that it can't connect. So the
// end of ctx closes the whole connection to the jump host, which has no other use.
func (c *client) dial(ctx context.Context, host string, port int) (net.Conn, error) {
	defer context.AfterFunc(ctx, c.sever)()
	request := ssh.Marshal(&struct {
		Host       string
		Port       uint32
		Originator string
		FromPort   uint32
	}{host, uint32(port), "127.0.0.1", 0})
	channel, requests, err := c.conn.OpenChannel("direct-tcpip", request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, contextError(ctx)
		}
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) {
			return nil, failure.Classify(connect.ErrEOF, fmt.Errorf("the connection to jump host %s ended: %w", c.name, err))
		}
		return nil, failure.Classify(jumpClass(refused), fmt.Errorf("jump host %s can't connect to %s: %v: %s", c.name, check.HostPort(host, port), refused.Reason, printable.Text(refused.Message)))
	}
	c.served.Go(func() { ssh.DiscardRequests(requests) })
	return &channelConn{Channel: channel, addr: channelAddr(check.HostPort(host, port))}, nil
}

// jumpClass finds the class of the error if a jump host could not connect. The protocol has only
// a text for the reason, which servers take from their system, in English.
func jumpClass(refused *ssh.OpenChannelError) error {
	if refused.Reason == ssh.Prohibited {
		return connect.ErrPermission
	}
	return cmp.Or(failure.Network(refused.Message), connect.ErrUnreachable)
}

// channelConn makes a channel a net.Conn. There are no deadlines:
// x/crypto/ssh sets none, and the contexts that bound a connection close it.
type channelConn struct {
	ssh.Channel
	addr channelAddr
	once sync.Once
	err  error
}

func (c *channelConn) Close() error {
	c.once.Do(func() { c.err = c.Channel.Close() })
	return c.err
}

func (c *channelConn) LocalAddr() net.Addr              { return channelAddr("ssh channel") }
func (c *channelConn) RemoteAddr() net.Addr             { return c.addr }
func (c *channelConn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c *channelConn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c *channelConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

type channelAddr string

func (channelAddr) Network() string  { return "ssh" }
func (a channelAddr) String() string { return string(a) }
