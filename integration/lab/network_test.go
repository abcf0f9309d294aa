//go:build linux

package lab

import (
	"strings"
	"testing"
)

// Tests that run side by side may have hosts of the same name, and each finds its own.
func TestATestKnowsItsOwnHosts(t *testing.T) {
	n := &network{next: firstHost, names: map[hostName]string{}}
	ip := make(map[hostName]string)
	add := func(test, name string) (hosts string) {
		index, hosts := n.allot(hostName{test, name})
		ip[hostName{test, name}] = indexIP(index)
		return hosts
	}
	add("TestOne", "web")
	add("TestTwo", "web")
	add("TestTwo/part", "db")
	for _, c := range []struct {
		test string
		want []hostName
	}{
		{"TestOne", []hostName{{"TestOne", "web"}}},
		{"TestTwo", []hostName{{"TestTwo", "web"}}},
		{"TestTwo/part", []hostName{{"TestTwo", "web"}, {"TestTwo/part", "db"}}},
		{"TestTwo/part/of it", []hostName{{"TestTwo", "web"}, {"TestTwo/part", "db"}}},
		{"TestTwoAndMore", nil},
	} {
		got := add(c.test, "desk")
		for _, h := range c.want {
			if !strings.Contains(got, ip[h]+" "+h.name+"\n") {
				t.Errorf("a host of %s knows\n%swant %s of %s among them", c.test, got, h.name, h.test)
			}
		}
		if lines := strings.Count(got, "\n"); lines != len(c.want)+strings.Count(got, " desk\n") {
			t.Errorf("a host of %s knows\n%swant nobody but %v and hosts called desk", c.test, got, c.want)
		}
	}
	if _, err := n.resolve("web:22"); err == nil {
		t.Error("a name that two hosts have was resolved, want an error")
	}
	if got, err := n.resolve("db:22"); err != nil || got != ip[hostName{"TestTwo/part", "db"}]+":22" {
		t.Errorf("db:22 is %q, %v, want the address of the one host of this name", got, err)
	}
}
