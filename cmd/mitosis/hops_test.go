package main

import (
	"testing"

	"github.com/mitosis-go/mitosis/connect"
)

func TestParseHops(t *testing.T) {
	methods, err := parseHops([]string{"ssh:deploy@web1:2222/sudo:root", "local"})
	if err != nil {
		t.Fatal(err)
	}
	if len(methods) != 3 {
		t.Fatalf("%d hops, not 3", len(methods))
	}
	if s := methods[0].(connect.SSH); s.User != "deploy" || s.Host != "web1" || s.Port != 2222 {
		t.Errorf("first hop: %+v", s)
	}
	if s := methods[1].(connect.Sudo); s.User != "root" {
		t.Errorf("second hop: %+v", s)
	}
}

func TestParseHop(t *testing.T) {
	for _, c := range []struct {
		in   string
		want hop
	}{
		{"ssh:web1", hop{kind: "ssh", host: "web1"}},
		{"ssh:a@b@web1", hop{kind: "ssh", user: "a@b", host: "web1"}},
		{"ssh:fe80::1%eth0", hop{kind: "ssh", host: "fe80::1%eth0"}},
		{"ssh:[fe80::1]", hop{kind: "ssh", host: "fe80::1"}},
		{"ssh:u@[::1]:2222", hop{kind: "ssh", user: "u", host: "::1", port: 2222}},
		{"sudo", hop{kind: "sudo"}},
	} {
		got, err := parseHop(c.in)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", c.in, got, err)
		}
	}
	for _, bad := range []string{"ssh:web1:port", "ssh:web1:0", "ssh:web1:70000", "ssh:[::1:22"} {
		if got, err := parseHop(bad); err == nil {
			t.Errorf("%s was taken as %+v", bad, got)
		}
	}
	for _, bad := range []string{"", "rsh:web1", "local:x", "sudo:a@b"} {
		if _, err := parseHops([]string{bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
