package socks

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// The numbers of SOCKS 4 (https://www.openssh.com/txt/socks4.protocol) and 4a.
const (
	version4  = 4
	connect4  = 1
	granted4  = 90
	rejected4 = 91
)

// maxText4 is the length of the longest user and host name that a client of SOCKS 4 may
// send, in bytes. The name of a host has at most 255.
const maxText4 = 255

// serve4 serves a client of SOCKS 4 or 4a; r is at its first byte.
func serve4(ctx context.Context, near net.Conn, r *bufio.Reader, dial DialFunc) error {
	defer near.Close()
	addr, err := request4(r)
	if err != nil {
		_ = reply4(near, rejected4)
		return err
	}
	_ = near.SetDeadline(time.Time{})
	far, err := dial(ctx, "tcp", addr)
	if err != nil {
		_ = reply4(near, rejected4)
		return err
	}
	if err := reply4(near, granted4); err != nil {
		_ = far.Close()
		return nil // the client has gone
	}
	_ = contexts.Relay(readAhead{near, r}, far)
	return nil
}

// request4 reads the request of a client: version, command, port, address, a user, who
// does not matter, and in 4a a name.
func request4(r *bufio.Reader) (addr string, err error) {
	var head [8]byte
	for i := range head {
		if head[i], err = r.ReadByte(); err != nil {
			return "", err
		}
	}
	if head[1] != connect4 {
		return "", fmt.Errorf("socks 4: the client asks for command %d; only CONNECT is served", head[1])
	}
	if _, err := text4(r); err != nil {
		return "", err
	}
	ip := netip.AddrFrom4([4]byte(head[4:]))
	host := ip.String()
	if strings.HasPrefix(host, "0.0.0.") && host != "0.0.0.0" {
		if host, err = text4(r); err != nil {
			return "", err
		}
		if host == "" {
			return "", errors.New("socks 4a: the client sent an empty name")
		}
	}
	port := binary.BigEndian.Uint16(head[2:])
	return net.JoinHostPort(host, strconv.Itoa(int(port))), nil
}

// text4 reads a text that ends in a zero byte.
func text4(r *bufio.Reader) (string, error) {
	var b []byte
	for len(b) <= maxText4 {
		c, err := r.ReadByte()
		if err != nil {
			return "", err
		}
		if c == 0 {
			return string(b), nil
		}
		b = append(b, c)
	}
	return "", fmt.Errorf("socks 4: the client sent a name of more than %d bytes", maxText4)
}

// reply4 sends the answer to a request. Clients that connect ignore the address in it.
func reply4(near net.Conn, code byte) error {
	_, err := near.Write([]byte{0, code, 0, 0, 0, 0, 0, 0})
	return err
}
