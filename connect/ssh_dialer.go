package connect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// attemptPause is ssh's pause between ConnectionAttempts.
const attemptPause = time.Second

// dialServer opens the TCP connection, as often as ConnectionAttempts says.
func (d *sshDial) dialServer(ctx context.Context, s *SSH, set *sshSettings) (net.Conn, error) {
	dial, err := d.dialer(s, set)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		conn, err := dial(ctx, first(set.network, "tcp"), hostPort(set.host, set.port))
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

// dialer is what the first connection is opened by. A connection that leaves from
// another host is that host's to resolve and to bind.
func (d *sshDial) dialer(s *SSH, set *sshSettings) (dialFunc, error) {
	if s.Through != nil {
		return s.Through.DialContext, nil
	}
	dial := d.env.Dial
	if set.bindAddress != "" || set.bindInterface != "" {
		from, err := set.source()
		if err != nil {
			return nil, err
		}
		dial = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from.IP, Zone: from.Zone}}).DialContext
	} else if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return resolvingDialer(dial), nil
}

// source is the address of ours that BindAddress or BindInterface names.
func (p *sshPolicy) source() (*net.IPAddr, error) {
	if p.bindAddress != "" {
		from, err := net.ResolveIPAddr("ip"+p.family(), p.bindAddress)
		if err != nil {
			return nil, fmt.Errorf("BindAddress: %w", err)
		}
		return from, nil
	}
	face, err := net.InterfaceByName(p.bindInterface)
	if err != nil {
		return nil, fmt.Errorf("BindInterface %s: %w", p.bindInterface, err)
	}
	addrs, err := face.Addrs()
	if err != nil {
		return nil, fmt.Errorf("BindInterface %s: %w", p.bindInterface, err)
	}
	for _, addr := range addrs {
		subnet, ok := addr.(*net.IPNet)
		if !ok || subnet.IP.IsLinkLocalUnicast() {
			continue
		}
		isV4 := subnet.IP.To4() != nil
		if family := p.family(); family == "" || (family == "4") == isV4 {
			return &net.IPAddr{IP: subnet.IP}, nil
		}
	}
	return nil, errors.New("BindInterface " + p.bindInterface + ": it has no address of the wanted family")
}

// family is "4", "6" or "" for both.
func (p *sshPolicy) family() string {
	if p.network == "" {
		return ""
	}
	return p.network[len("tcp"):]
}
