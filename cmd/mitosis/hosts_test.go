package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A path is one word, and several words are several hosts: nothing that could mean either is taken.
func TestHostsOfCommandLines(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	file := filepath.Join(t.TempDir(), "inventory.yaml")
	text := "hosts:\n  web[1-3]: {user: deploy}\n  db: {hop: 'ssh:bastion/docker:db'}\ngroups:\n  web: web[1-3]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ sets, without, paths, want string }{
		{"", "", "ssh:a/sudo", "ssh:a/sudo=ssh:a>sudo:root one"},
		{"", "", "a", "a=ssh:a one"},
		{"", "", "a b", "a=ssh:a b=ssh:b"},
		{"", "", "a/sudo ssh:j,b", "a/sudo=ssh:a>sudo:root ssh:j,b=ssh:j,b"},
		{"", "", "web2", "web2=ssh:deploy@web2 one"},
		{"", "", "db/sudo", "db/sudo=ssh:bastion>docker:db>sudo:root one"},
		{"@web!web2", "", "", "web1=ssh:deploy@web1 web3=ssh:deploy@web3"},
		{"web[1-2]|db", "web1", "", "web2=ssh:deploy@web2 db=ssh:bastion>docker:db"},
		{"a b", "", "", "a=ssh:a b=ssh:b"},
		{"a", "", "", "a=ssh:a"}, // of a set that might have more
		{"ssh:j\\,a", "", "", "ssh:j,a=ssh:j,a"},
		{"a,a", "", "a", "a=ssh:a"}, // a union
		{"", "", "a a", "!a is given twice"},
		{"", "", "a ssh:a", "!a and ssh:a are the same host"},
		{"", "", "a,b", "!a,b could mean two things"},
		{"", "", "deploy@a,b/sudo", "!could mean two things"},
		{"", "", "ssh:a sudo", "!as in ssh:web1/sudo"},
		{"", "", "ssh:a sudo:app", "!as in ssh:web1/sudo:app"},
		{"", "", "", "!no host is given"},
		{"a!a", "", "", "!empty"},
		{"", "a", "a", "!empty"},
		{"@none", "", "", "!no such group"},
		{"a[1-", "", "", "!-w: "},
		{"", "", "a[1-2]", "!sets of hosts are given with -w"},
		{"", "", "rsh:a", "!no method"},
	} {
		o := hostOptions{sources: []string{file}}
		if c.sets != "" {
			o.sets = strings.Split(c.sets, "|")
		}
		if c.without != "" {
			o.without = []string{c.without}
		}
		h, err := o.choose(strings.Fields(c.paths))
		if text, fails := strings.CutPrefix(c.want, "!"); fails {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%+v: %v, want an error with %q", c, err, text)
			}
			continue
		} else if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		got := waysOf(h)
		if h.one {
			got = append(got, "one")
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %q, want %q", c, got, c.want)
		}
	}
	o := new(hostOptions)
	if _, err := o.onlyPath("forward", []string{"a", "b"}); err == nil || !strings.Contains(err.Error(), "a and b are several") {
		t.Errorf("two hosts for a command that takes one: %v", err)
	}
	if _, err := (&hostOptions{sets: []string{"@web"}}).choose(nil); err == nil || !strings.Contains(err.Error(), "--inventory") {
		t.Errorf("a group without an inventory: %v", err)
	}
}

// Hosts that the inventory has behind others go by way of these, which need not be named.
func TestHostsBehindOthers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hosts.yaml")
	if err := os.WriteFile(file, []byte(`
hosts:
  gate:
  "head[1-2]": {behind: gate}
  "n[1-3]": {behind: "head[1-2]"}
  kept: {behind: gate, through: true}
  a: {behind: b}
  b: {behind: a}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ sets, path, want string }{
		{"", "n2", "n2=ssh:gate>ssh:head1>ssh:n2"},
		{"n[1-2]", "", "n1=ssh:gate>ssh:head1>ssh:n1 n2=ssh:gate>ssh:head1>ssh:n2"},
		{"gate", "", "gate=ssh:gate"},
		{"", "n1/sudo", "n1/sudo=ssh:gate>ssh:head1>ssh:n1>sudo:root"},
		{"kept", "", "kept=ssh:gate>ssh:kept"},
		{"", "kept", "!give it by -w kept"},
		{"a", "", "!behind itself"},
	} {
		o := hostOptions{sources: []string{file}}
		if c.sets != "" {
			o.sets = []string{c.sets}
		}
		h, err := o.choose(strings.Fields(c.path))
		if text, fails := strings.CutPrefix(c.want, "!"); fails {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%+v: %v, want an error with %q", c, err, text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		got := waysOf(h)
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %q, want %q", c, got, c.want)
		}
	}
}

// waysOf returns how each host is reached, as "web1=ssh:gate>ssh:web1".
func waysOf(h *hosts) (ways []string) {
	for name := range h.set.All() {
		var labels []string
		for _, hop := range h.hops[name] {
			labels = append(labels, hop.Label())
		}
		ways = append(ways, name+"="+strings.Join(labels, ">"))
	}
	return ways
}
