//go:build unix

package resolve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A name that Go's resolver does not know is asked of getent, and each address that it
// has is tried.
func TestNamesThatOnlyTheSystemKnows(t *testing.T) {
	bin := t.TempDir()
	asked := filepath.Join(bin, "asked")
	if err := os.WriteFile(filepath.Join(bin, "getent"), []byte(`#!/bin/sh
echo "$*" >>`+asked+`
[ "$1" = "$KNOWS" ] || exit 2
case $2 in
printer.local) echo "192.0.2.1  STREAM printer.local"; echo "192.0.2.1  DGRAM"; echo "2001:db8::1 STREAM"; echo nonsense; echo "192.0.2.2 STREAM" ;;
*) exit 2 ;;
esac
`), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	var dialled []string
	dial := Dialer(func(_ context.Context, network, addr string) (net.Conn, error) {
		dialled = append(dialled, network+" "+addr)
		host, _, _ := net.SplitHostPort(addr)
		if _, err := netip.ParseAddr(host); err != nil {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
		}
		if addr == "192.0.2.2:22" {
			here, there := net.Pipe()
			there.Close()
			return here, nil
		}
		return nil, errors.New("nobody there")
	})
	for _, c := range []struct {
		name, knows, network, addr string
		dialled                    []string
		fails                      string
	}{
		{"every address", "ahosts", "tcp", "printer.local:22",
			[]string{"tcp printer.local:22", "tcp 192.0.2.1:22", "tcp [2001:db8::1]:22", "tcp 192.0.2.2:22"}, ""},
		{"of the wanted family", "ahosts", "tcp4", "printer.local:22",
			[]string{"tcp4 printer.local:22", "tcp4 192.0.2.1:22", "tcp4 192.0.2.2:22"}, ""},
		{"another database", "hosts", "tcp4", "printer.local:22",
			[]string{"tcp4 printer.local:22", "tcp4 192.0.2.1:22", "tcp4 192.0.2.2:22"}, ""},
		{"nobody listens", "ahosts", "tcp6", "printer.local:22", []string{"tcp6 printer.local:22", "tcp6 [2001:db8::1]:22"}, "nobody there"},
		{"nobody knows it", "ahosts", "tcp", "nosuch:22", []string{"tcp nosuch:22"}, "getent does not know it either"},
		{"an option", "ahosts", "tcp", "-x:22", []string{"tcp -x:22"}, "looks like an option"},
		{"more than a name", "ahosts", "tcp", "$(id):22", []string{"tcp $(id):22"}, "no name of a host"},
		{"an address is not asked for", "ahosts", "tcp", "192.0.2.9:22", []string{"tcp 192.0.2.9:22"}, "nobody there"},
	} {
		t.Setenv("KNOWS", c.knows)
		dialled = nil
		conn, err := dial(t.Context(), c.network, c.addr)
		if conn != nil {
			conn.Close()
		}
		if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v, wanted %q", c.name, err, c.fails)
		}
		if !slices.Equal(dialled, c.dialled) {
			t.Errorf("%s: dialled %q, wanted %q", c.name, dialled, c.dialled)
		}
	}
	text, err := os.ReadFile(asked)
	if err != nil || strings.Contains(string(text), "-x") || strings.Contains(string(text), "192") {
		t.Errorf("getent was asked for %s, %v", text, err)
	}

	t.Setenv("PATH", t.TempDir())
	if _, err := dial(t.Context(), "tcp", "printer.local:22"); err == nil || !strings.Contains(err.Error(), "there is no getent") {
		t.Errorf("without a getent: %v", err)
	}
	_, err = dial(t.Context(), "tcp", "nosuch:22")
	if _, ok := errors.AsType[*net.DNSError](err); !ok {
		t.Errorf("the error is none about a name any more: %v", err)
	}
}
