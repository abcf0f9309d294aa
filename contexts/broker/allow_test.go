//go:build linux

package broker

import "testing"

func TestAllowed(t *testing.T) {
	for _, test := range []struct {
		patterns []string
		path     string
		want     bool
	}{
		{nil, "ssh:any/sudo", true},
		{[]string{"ssh:web1"}, "ssh:web1", true},
		{[]string{"ssh:web1"}, "ssh:web1/sudo", true},
		{[]string{"ssh:web1"}, "ssh:web10", false},
		{[]string{"ssh:web1"}, "web1", false},
		{[]string{"ssh:web1"}, "ssh:me@web1", false},
		{[]string{"ssh:web1"}, "ssh:web1?proxy-command=[touch x]", false},
		{[]string{"ssh:web1"}, "local/ssh:web1", false},
		{[]string{"ssh:web1/sudo:deploy"}, "ssh:web1", false},
		{[]string{"ssh:web1/sudo:deploy"}, "ssh:web1/sudo:deploy/local", true},
		{[]string{"ssh:web1/sudo:deploy"}, "ssh:web1/sudo:root", false},
		{[]string{"ssh:a", "ssh:b"}, "ssh:b", true},
		{[]string{"ssh:db*"}, "ssh:db7", true},
		{[]string{"ssh:db*"}, "ssh:db7/sudo", true},
		{[]string{"ssh:db[12]"}, "ssh:db2", true},
		{[]string{"ssh:db[12]"}, "ssh:db3", false},
		{[]string{"ssh:*@db?"}, "ssh:me@db1", true},
		{[]string{"ssh:*:2222"}, "ssh:db1:2222", true},
		// A wildcard stands for no options, ways or users.
		{[]string{"ssh:db*"}, "ssh:db1?proxy-command=x", false},
		{[]string{"ssh:db*"}, "ssh:db1?config=[/tmp/x]", false},
		{[]string{"ssh:db*"}, "ssh:db1[?proxy-command=x]", false},
		{[]string{"ssh:db*"}, "ssh:db1%3Fproxy-command=x", false},
		{[]string{"ssh:db*"}, "ssh:db1,production", false},
		{[]string{"ssh:db*"}, "ssh:dbadmin@production", false},
		{[]string{"ssh:db*"}, "ssh:db1:2222", false},
		{[]string{"ssh:*@db?"}, "ssh:me@production,x@db1", false},
		{[]string{"*"}, "local", true},
		{[]string{"*"}, "ssh:web1", false},
		{[]string{"ssh:web1?user=a,b"}, "ssh:web1?user=a,b", true},
		// Slashes in brackets are not between hops.
		{[]string{"chroot:[/mnt/a]"}, "chroot:[/mnt/a]", true},
		{[]string{"chroot:[/mnt/a]"}, "chroot:[/mnt/a]/local", true},
		{[]string{"chroot:[/mnt/a]"}, "chroot:[/mnt/ab]", false},
		{[]string{"chroot:[/mnt"}, "chroot:[/mnt/a]", false},
		{[]string{"local"}, "local/chroot:[/mnt]", true},
		{[]string{"local"}, "local?x", false},
		// Neither are those of a device.
		{[]string{"console:/dev/ttyS0"}, "console:/dev/ttyS0/local", true},
		{[]string{"console:/dev/ttyS0"}, "console:/dev/ttyS1", false},
		{[]string{"console:*"}, "console:ttyS0", true},
		{[]string{"console:*"}, "console:/dev/ttyS0", false},
		{[]string{""}, "local", false},
		{[]string{"ssh:[bad"}, "ssh:[bad", true},
		{[]string{"ssh:[bad"}, "ssh:b", false},
	} {
		if got := allowed(test.patterns, test.path); got != test.want {
			t.Errorf("with %q, %q is allowed: %v, want %v", test.patterns, test.path, got, test.want)
		}
	}
}
