package fakessh

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
	"time"
)

// SOCKS 5 as of RFC 1928, without authentication, and of its commands only
// CONNECT: what ssh does for -D.
const (
	socksVersion     = 5
	socksConnect     = 1
	socksNoAuth      = 0
	socksNoMethod    = 0xff
	socksIPv4        = 1
	socksName        = 3
	socksIPv6        = 4
	socksOK          = 0
	socksFailure     = 1
	socksUnreachable = 4
	socksRefused     = 5
	socksNotCommand  = 7
	socksNotAddress  = 8
)

// socksTime bounds the wait for a client to say where to.
const socksTime = 30 * time.Second

var errSOCKS = errors.New("the client does not speak SOCKS 5")

// readSOCKS reads where a client wants to go.
func readSOCKS(conn net.Conn) (addr string, err error) {
	if err := conn.SetDeadline(time.Now().Add(socksTime)); err != nil {
		return "", err
	}
	head := make([]byte, 2)
	if _, err := io.ReadFull(conn, head); err != nil {
		return "", err
	}
	if head[0] != socksVersion {
		return "", errSOCKS
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(conn, methods); err != nil {
		return "", err
	}
	chosen := byte(socksNoMethod)
	for _, m := range methods {
		if m == socksNoAuth {
			chosen = m
		}
	}
	if _, err := conn.Write([]byte{socksVersion, chosen}); err != nil {
		return "", err
	}
	if chosen != socksNoAuth {
		return "", fmt.Errorf("%w without authentication", errSOCKS)
	}
	request := make([]byte, 4)
	if _, err := io.ReadFull(conn, request); err != nil {
		return "", err
	}
	if request[0] != socksVersion {
		return "", errSOCKS
	}
	if request[1] != socksConnect {
		return "", errors.Join(fmt.Errorf("command %d of SOCKS is not done here", request[1]), replySOCKS(conn, socksNotCommand))
	}
	host, err := readSOCKSHost(conn, request[3])
	if err != nil {
		return "", err
	}
	port := make([]byte, 2)
	if _, err := io.ReadFull(conn, port); err != nil {
		return "", err
	}
	return net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(port)))), conn.SetDeadline(time.Time{})
}

func readSOCKSHost(conn net.Conn, kind byte) (string, error) {
	var size byte
	switch kind {
	case socksIPv4:
		size = net.IPv4len
	case socksIPv6:
		size = net.IPv6len
	case socksName:
		length := make([]byte, 1)
		if _, err := io.ReadFull(conn, length); err != nil {
			return "", err
		}
		size = length[0]
	default:
		return "", errors.Join(errSOCKS, replySOCKS(conn, socksNotAddress))
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(conn, b); err != nil {
		return "", err
	}
	if kind == socksName {
		return string(b), nil
	}
	return net.IP(b).String(), nil
}

// answerSOCKS says how the dialling went.
func answerSOCKS(conn net.Conn, err error) error {
	code := byte(socksFailure)
	switch {
	case err == nil:
		code = socksOK
	case errors.Is(err, syscall.ECONNREFUSED):
		code = socksRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		code = socksUnreachable
	}
	return replySOCKS(conn, code)
}

func replySOCKS(conn net.Conn, code byte) error {
	_, err := conn.Write([]byte{socksVersion, code, 0, socksIPv4, 0, 0, 0, 0, 0, 0})
	return err
}
