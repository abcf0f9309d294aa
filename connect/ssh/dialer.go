package ssh

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/internal/resolve"
)

// attemptPause is ssh's pause between ConnectionAttempts.
const attemptPause = time.Second

// dialServer opens the TCP connection, as often as ConnectionAttempts says.
func (d *dial) dialServer(ctx context.Context, s *Login, set *settings) (net.Conn, error) {
	dial := d.dialer(s, set)
	for attempt := 1; ; attempt++ {
		conn, err := dial(ctx, cmp.Or(set.network, "tcp"), check.HostPort(set.host, set.port))
		if err == nil || attempt >= set.attempts || ctx.Err() != nil {
			return conn, err
		}
		pause := time.NewTimer(attemptPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, err
		}
	}
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// dialer returns the function that opens the first connection. If Through opens it, on another
// host, the name is resolved there, and BindAddress does not count.
func (d *dial) dialer(s *Login, set *settings) dialFunc {
	if s.Through != nil {
		return s.Through.DialContext
	}
	dial := d.env.Dial
	if set.bindAddress.IsValid() {
		dial = (&net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(set.bindAddress, 0))}).DialContext
	} else if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return resolve.Dialer(dial)
}
