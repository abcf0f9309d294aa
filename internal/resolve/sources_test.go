//go:build unix

package resolve

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestOrderOfSources(t *testing.T) {
	first, last := lookupOrder{system: true}, lookupOrder{dns: true}
	for text, want := range map[string]lookupOrder{
		"":                                last,
		"passwd: files lab\n":             last,
		"hosts: files dns\n":              last,
		"hosts: files\n":                  {},
		"hosts: files dns lab\n":          last,
		"hosts: files lab\n":              first,
		"hosts: files # lab\n":            {},
		" hosts :\tlab\n":                 first,
		"hosts: files [ !A = return] lab": first,
		"hosts: files mdns4_minimal [NOTFOUND=return] dns myhostname\n": {system: true, dns: true},
		"hosts: files [NOTFOUND=return] dns\n":                          last,
	} {
		file := filepath.Join(t.TempDir(), "nsswitch.conf")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := orderOf(file); got != want {
			t.Errorf("%q: %+v, wanted %+v", text, got, want)
		}
	}
	if got := orderOf(filepath.Join(t.TempDir(), "none")); got != last {
		t.Errorf("without the file: %+v, wanted %+v", got, last)
	}
}

// Where the system comes first, Go's resolver is asked for no name, but where nothing
// else can be asked.
func TestTheSystemIsAskedFirst(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "getent"), []byte("#!/bin/sh\n[ \"$2\" = printer ] && echo 192.0.2.1 STREAM\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	with, without := bin+":"+os.Getenv("PATH"), t.TempDir()
	for _, c := range []struct {
		name, path string
		order      lookupOrder
		addr       string
		dialled    string // "": nothing
	}{
		{"a name", with, lookupOrder{system: true}, "printer:22", "192.0.2.1:22"},
		{"a name, with DNS", with, lookupOrder{system: true, dns: true}, "printer:22", "192.0.2.1:22"},
		{"nobody's name", with, lookupOrder{system: true}, "nosuch:22", ""},
		{"nobody's name, with DNS", with, lookupOrder{system: true, dns: true}, "nosuch:22", "nosuch:22"},
		{"an address", with, lookupOrder{system: true}, "192.0.2.9:22", "192.0.2.9:22"},
		{"an address with a zone", with, lookupOrder{system: true}, "[fe80::1%lo]:22", "[fe80::1%lo]:22"},
		{"an option", with, lookupOrder{system: true}, "-x:22", "-x:22"},
		{"no host", with, lookupOrder{system: true}, ":22", ":22"},
		{"no getent", without, lookupOrder{system: true}, "printer:22", "printer:22"},
	} {
		t.Setenv("PATH", c.path)
		var dialled string
		_, err := dialIn(t.Context(), c.order, func(_ context.Context, _, addr string) (net.Conn, error) {
			dialled = addr
			return nil, errors.New("nobody there")
		}, "tcp", c.addr)
		if dialled != c.dialled {
			t.Errorf("%s: dialled %q, wanted %q", c.name, dialled, c.dialled)
		}
		if unknown, ok := errors.AsType[*net.DNSError](err); ok != (c.dialled == "") || ok && !unknown.IsNotFound {
			t.Errorf("%s: error %v, wanted one about the name: %v", c.name, err, c.dialled == "")
		}
	}
}
