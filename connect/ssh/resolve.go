package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/connect/internal/check"
)

const (
	// lookupTime bounds a question to the system's tool.
	lookupTime = 10 * time.Second
	// maxLookup bounds its answer, in bytes.
	maxLookup = 64 << 10
	// maxAddresses bounds those that are tried.
	maxAddresses = 16
)

// resolvingDialer is dial, and asks the system where Go's resolver does not know a
// name: a static program reads /etc/hosts and asks DNS, and does not know the other
// sources of nsswitch.conf(5), such as mDNS or the machines of systemd.
func resolvingDialer(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		var unknown *net.DNSError
		if err == nil || ctx.Err() != nil || !errors.As(err, &unknown) {
			return conn, err
		}
		host, port, splitErr := net.SplitHostPort(addr)
		if splitErr != nil {
			return nil, err
		}
		addresses, lookupErr := systemAddresses(ctx, network, host)
		if lookupErr != nil {
			return nil, fmt.Errorf("%w (%w)", err, lookupErr)
		}
		for _, address := range addresses {
			if conn, err = dial(ctx, network, net.JoinHostPort(address.String(), port)); err == nil || ctx.Err() != nil {
				break
			}
		}
		return conn, err
	}
}

// systemAddresses asks getent(1), which goes by nsswitch.conf. Its error, where it has
// an answer to give, is about the name.
func systemAddresses(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if err := check.Host(host); err != nil {
		return nil, err
	}
	program, err := exec.LookPath("getent")
	if err != nil {
		return nil, errors.New("asked were /etc/hosts and DNS only; there is no getent to ask the system's other sources")
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	// Systems that have no database "ahosts" have "hosts".
	for _, database := range []string{"ahosts", "hosts"} {
		cmd := exec.CommandContext(ctx, program, database, host)
		cmd.WaitDelay = time.Second
		out := &boundedBuffer{limit: maxLookup}
		cmd.Stdout = out
		if cmd.Run() != nil {
			continue
		}
		if found := parseAddresses(out.String(), network); len(found) > 0 {
			return found, nil
		}
	}
	return nil, errors.New("getent does not know it either")
}

// parseAddresses takes the addresses at the beginning of the lines of getent, each once.
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
