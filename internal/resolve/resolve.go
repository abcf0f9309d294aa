// Package resolve finds the addresses of names that Go's resolver does not know. A static
// program only reads /etc/hosts and asks DNS. getent(1) also knows the other sources of
// nsswitch.conf(5), such as mDNS, LDAP or the machines of systemd.
package resolve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"time"
)

const (
	// lookupTime bounds a question to the system's tool.
	lookupTime = 10 * time.Second
	// maxLookup bounds its answer, in bytes.
	maxLookup = 64 << 10
	// maxAddresses bounds those that are tried.
	maxAddresses = 16
	// maxName is how long a name may be that the tool is asked for, in bytes.
	maxName = 255
)

// DialFunc works as net.Dialer.DialContext.
type DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// Dialer returns a dial function that asks the system for names that dial does not know, and
// tries the addresses in the system's order. Where the system has a source before DNS that Go
// does not know, it is asked before dial. If the system does not know the name either, the
// error is that of dial, with a *net.DNSError whose text also says why.
func Dialer(dial DialFunc) DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dialIn(ctx, orderOf(nsswitch), dial, network, addr)
	}
}

// dialIn is what Dialer does, in an order of sources.
func dialIn(ctx context.Context, order lookupOrder, dial DialFunc, network, addr string) (net.Conn, error) {
	host, port, splitErr := net.SplitHostPort(addr)
	asked := splitErr == nil && order.system && isName(host)
	var addresses []netip.Addr
	var lookupErr error
	if asked {
		addresses, lookupErr = addressesOf(ctx, network, host)
	}
	if len(addresses) == 0 {
		var conn net.Conn
		var err error = &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		if order.dns || !errors.Is(lookupErr, errUnknown) {
			conn, err = dial(ctx, network, addr)
		}
		unknown, ok := errors.AsType[*net.DNSError](err)
		if !ok || splitErr != nil || ctx.Err() != nil {
			return conn, err
		}
		if !asked {
			addresses, lookupErr = addressesOf(ctx, network, host)
		}
		if lookupErr != nil {
			return nil, annotated(err, unknown, lookupErr)
		}
	}
	var conn net.Conn
	var err error
	for _, address := range addresses {
		if conn, err = dial(ctx, network, net.JoinHostPort(address.String(), port)); err == nil || ctx.Err() != nil {
			break
		}
	}
	return conn, err
}

// isName reports whether a host is one to ask for, and no address.
func isName(host string) bool {
	_, err := netip.ParseAddr(host)
	return err != nil && host != ""
}

// errUnknown: getent was asked, and does not know the name.
var errUnknown = errors.New("getent does not know it either")

// annotated adds to the text of an error about a name, and keeps its type: callers check it,
// and it travels between contexts.
func annotated(err error, unknown *net.DNSError, why error) error {
	told := *unknown
	told.Err += " (" + why.Error() + ")"
	if op, ok := err.(*net.OpError); ok && op.Err == error(unknown) {
		around := *op
		around.Err = &told
		return &around
	}
	return &told
}

// addressesOf asks getent, which uses nsswitch.conf.
func addressesOf(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if err := checkName(host); err != nil {
		return nil, err
	}
	program, err := exec.LookPath("getent")
	if err != nil {
		return nil, errors.New("there is no getent to ask the system's other sources")
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	// Systems that have no database "ahosts" have "hosts".
	for _, database := range []string{"ahosts", "hosts"} {
		cmd := exec.CommandContext(ctx, program, database, host)
		cmd.WaitDelay = time.Second
		out := &answer{}
		cmd.Stdout = out
		if cmd.Run() != nil {
			continue
		}
		if found := parseAddresses(out.String(), network); len(found) > 0 {
			return found, nil
		}
	}
	if ctx.Err() != nil {
		return nil, errors.New("getent has not answered")
	}
	return nil, errUnknown
}

// checkName refuses names that getent, a shell script on some systems, could take for something
// else. Any client of a SOCKS forwarding can choose the name.
func checkName(host string) error {
	if strings.HasPrefix(host, "-") {
		return fmt.Errorf("getent is not asked, %q looks like an option", host)
	}
	odd := strings.ContainsFunc(host, func(r rune) bool {
		name := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r >= 0x80
		return !name && !strings.ContainsRune("-._", r)
	})
	if host == "" || len(host) > maxName || odd {
		return errors.New("getent is not asked, it is no name of a host")
	}
	return nil
}

// answer keeps the beginning of the output of getent.
type answer struct{ bytes.Buffer }

func (a *answer) Write(p []byte) (int, error) {
	a.Buffer.Write(p[:min(len(p), maxLookup-a.Len())])
	return len(p), nil
}

// parseAddresses returns the addresses at the beginnings of getent's lines, each once.
func parseAddresses(text, network string) (found []netip.Addr) {
	seen := map[netip.Addr]bool{}
	for _, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		address, err := netip.ParseAddr(fields[0])
		if err != nil || seen[address] || len(found) == maxAddresses {
			continue
		}
		seen[address] = true
		if strings.HasSuffix(network, "4") && !address.Is4() || strings.HasSuffix(network, "6") && !address.Is6() {
			continue
		}
		found = append(found, address)
	}
	return found
}
