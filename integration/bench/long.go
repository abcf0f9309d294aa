//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// longLink is a link that one connection of ssh does not fill, a file for it, and how many
// connections do.
type longLink struct {
	lab.Link
	megabytes, connections int
}

var longLinks = []longLink{
	{lab.Link{RTT: 50 * time.Millisecond, Rate: 50e6}, 200, 4},
	{lab.Link{RTT: 200 * time.Millisecond, Rate: 25e6}, 150, 4},
}

// payload is the share of a packet of 1500 bytes that is payload of TCP, with timestamps.
const payload = 1448.0 / 1500

// longRows measures copies over long links by testdata/spread, which runs in the client.
func longRows(ctx context.Context, h *hosts, spread string) (rows []row, err error) {
	for _, l := range longLinks {
		more, err := longRow(ctx, h, spread, l)
		if err != nil {
			return rows, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

func longRow(ctx context.Context, h *hosts, spread string, l longLink) (rows []row, err error) {
	const here, there = "/dev/shm/long", "/tmp/long"
	fill := fmt.Sprintf("dd if=/dev/urandom of=%s bs=1000000 count=%d 2>&1", here, l.megabytes)
	if _, err := h.run(ctx, "sh", "-c", fill+"; scp -q "+here+" "+serverName+":"+there); err != nil {
		return nil, err
	}
	clean := func() error {
		_, err := h.run(ctx, "sh", "-c", "rm -f /dev/shm/long.*; ssh "+serverName+" rm -f /tmp/long.*")
		return err
	}
	if err := h.server.Shape(l.Link); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.server.Shape(lab.Link{}), clean()) }()
	copies := func(name string, connections int, what, from, to string) *subject {
		return &subject{name: name, measure: func(ctx context.Context) (float64, error) {
			out, err := h.run(ctx, spread, "ssh:"+userName+"@"+serverName, fmt.Sprint(connections), what, from, to+".copy")
			var r struct{ Settled float64 }
			if err == nil {
				err = json.Unmarshal(out, &r)
			}
			return r.Settled, errors.Join(err, clean())
		}}
	}
	put, get := copies("put", l.connections, "put", here, there), copies("get", l.connections, "get", there, here)
	one := copies("put over one connection", 1, "put", here, there)
	scp := &subject{name: "scp", measure: func(ctx context.Context) (float64, error) {
		began := time.Now()
		_, err := h.run(ctx, "scp", "-q", here, serverName+":"+there+".scp")
		rate := megabytes(int64(l.megabytes)*1e6, time.Since(began))
		return rate, errors.Join(err, clean())
	}}
	tcp := &subject{name: "TCP", measure: func(ctx context.Context) (float64, error) { return rawRate(ctx, h.server, l.RTT) }}
	for range rounds(2) {
		for _, s := range []*subject{tcp, scp, one, put, get} {
			v, err := s.bounded(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			s.results = append(s.results, v)
		}
	}
	for _, s := range []*subject{put, get} {
		rows = append(rows, row{
			What: fmt.Sprintf("%s over %d connections of ssh, %v round trip", s.name, l.connections, l.RTT), Unit: "MB/s",
			Measured: s.results.median(), Limit: payload * float64(l.Rate) / 1e6, LimitIs: "payload of the link", Factor: 0.95, AtLeast: true,
			Note: fmt.Sprintf("once it has started; over one connection %.1f, scp %.1f, one stream of TCP %.1f MB/s",
				one.results.median(), scp.results.median(), tcp.results.median()),
		})
	}
	return rows, nil
}

// rawRate returns the rate of a stream of TCP from a host, once its windows are open.
func rawRate(ctx context.Context, from *lab.Running, rtt time.Duration) (float64, error) {
	l, err := lab.Listen("tcp", net.JoinHostPort(lab.StationIP, "0"))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, err
	}
	cmd := from.Command(ctx, "bash", "-c", "exec cat /dev/zero >/dev/tcp/"+lab.StationIP+"/"+port)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer cmd.Wait() // the command ends with the connection
	c, err := l.Accept()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	const measured = 2 * time.Second
	n := int64(0)
	for _, length := range []time.Duration{20 * rtt, measured} {
		if err := c.SetReadDeadline(time.Now().Add(length)); err != nil {
			return 0, err
		}
		if n, err = io.Copy(io.Discard, c); !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, fmt.Errorf("a stream without an end has ended: %w", err)
		}
	}
	return megabytes(n, measured), nil
}
