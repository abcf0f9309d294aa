//go:build linux

package integration

import (
	"encoding/json"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// conformsTo makes sure that each line of a text is as a schema says, and that there are so many.
func conformsTo(t *testing.T, name, text string, lines int) {
	t.Helper()
	s, n := schema(t, name), 0
	for line := range strings.Lines(text) {
		n++
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err == nil {
			err = s.Validate(v)
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, line)
		}
	}
	if n != lines {
		t.Errorf("there are %d lines for %s, want %d:\n%s", n, name, lines, text)
	}
}

// refusesAll makes sure that a schema refuses texts: one that takes everything tests nothing.
func refusesAll(t *testing.T, name string, texts ...string) {
	t.Helper()
	s := schema(t, name)
	for _, text := range texts {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if s.Validate(v) == nil {
			t.Errorf("%s conforms to %s, which it must not", text, name)
		}
	}
}

// at is a command at the desk with variables of the environment.
func (o *office) at(t *testing.T, env []string, args ...string) *lab.Cmd {
	t.Helper()
	return o.desk.Command(t.Context(), slices.Concat([]string{"env"}, env, []string{o.program}, args)...)
}

// What is set in the file holds for every command that makes a hop, until an option or the
// environment says otherwise.
func TestSettingsHold(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	write := func(name, text string) {
		t.Helper()
		cmd := o.desk.Command(t.Context(), "sh", "-c", `umask 077; mkdir -p "${1%/*}" && cat >"$1"`, "sh", name)
		cmd.Stdin = strings.NewReader(text)
		if r := finish(t, cmd); r.status != 0 {
			t.Fatalf("%s could not be written: %+v", name, r)
		}
	}
	const dir = "/root/.config/mitosis/"
	write(dir+"keys/fleet", o.key.Private)
	host, port, err := net.SplitHostPort(o.web.Addr())
	if err != nil {
		t.Fatal(err)
	}
	write(dir+"hosts.yaml", "hosts:\n  web1: {host: "+host+", port: "+port+"}\n")
	if r := finish(t, o.desk.Command(t.Context(), "rm", "/root/.ssh/id_ed25519")); r.status != 0 {
		t.Fatalf("%+v", r)
	}
	write(dir+"config.yaml", "user: deploy\nidentity: keys/fleet\ninventory: hosts.yaml\nconnect_timeout: 1h\nfan_out: 1\n")
	r := finish(t, o.command(t.Context(), "config", "--json"))
	conformsTo(t, "config.json", r.out, 1)
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"run", []string{"run", "web1", "--", "id", "-un"}, "deploy\n"},
		{"several", []string{"run", "-q", "-w", "web1", "--", "id", "-un"}, "web1: deploy\n"},
		{"ssh", []string{"ssh", "web1", "id", "-un"}, "deploy\n"},
		{"hops", []string{"run", "web1/sudo", "--", "id", "-un"}, "root\n"},
	} {
		if r := finish(t, o.command(t.Context(), c.args...)); r.status != 0 || r.out != c.want {
			t.Errorf("%s ended with %+v, want %q", c.name, r, c.want)
		}
	}
	if r := finish(t, o.at(t, []string{"MITOSIS_USER=app"}, "run", "web1", "--", "id", "-un")); r.status != 255 || !strings.Contains(r.err, "app@") {
		t.Errorf("with the user app, who has no key, it ended with %+v, want a hop that failed", r)
	}
	if r := finish(t, o.at(t, []string{"MITOSIS_USER=app"}, "run", "-l", "deploy", "web1", "--", "id", "-un")); r.status != 0 || r.out != "deploy\n" {
		t.Errorf("with -l deploy it ended with %+v", r)
	}
	// Nobody answers: the time of the environment is over before that of the file.
	for _, args := range [][]string{{"run", "nobody", "--", "true"}, {"run", "-w", "nobody", "--", "true"}, {"socks", "nobody", "0"}, {"with", "nobody", "--", "true"}, {"probe", "nobody/sudo"}} {
		args = slices.Insert(slices.Clone(args), 1, "-o", "ProxyCommand=sleep 600")
		r := finish(t, o.at(t, []string{"MITOSIS_CONNECT_TIMEOUT=50ms"}, args...))
		if r.status != 255 || !strings.Contains(r.err, "is over") {
			t.Errorf("%q ended with %+v, want the end of the time for connecting", args, r)
		}
	}
	if r := finish(t, o.desk.Command(t.Context(), "chmod", "g+w", dir+"config.yaml")); r.status != 0 {
		t.Fatalf("%+v", r)
	}
	if r := finish(t, o.command(t.Context(), "run", "web1", "--", "true")); r.status != 2 || !strings.Contains(r.err, "others may write to "+dir+"config.yaml") {
		t.Errorf("with a file that the group may write it ended with %+v, want it refused", r)
	}
	refusesAll(t, "config.json", `{}`, `{"file":null,"settings":[]}`, `{"file":"","settings":[{"key":"user","value":null,"source":"default"}]}`,
		`{"file":null,"settings":[{"key":"user","value":"a","source":"file"}]}`, `{"file":null,"settings":[{"key":"user","value":"a","source":"environment","line":1}]}`,
		`{"file":null,"settings":[{"key":"user","value":{},"source":"default"}]}`)
}

// With the setting the host keeps the program, and without it nothing.
func TestTheCacheIsASetting(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	kept := func() string {
		return finish(t, o.web.Command(t.Context(), "sh", "-c", "ls /home/deploy/.cache/mitosis 2>/dev/null")).out
	}
	for _, c := range []struct {
		env  string
		want bool
	}{{"MITOSIS_CACHE=no", false}, {"MITOSIS_CACHE=yes", true}} {
		if r := finish(t, o.at(t, []string{c.env}, "run", o.path, "--", "true")); r.status != 0 {
			t.Fatalf("%s: it ended with %+v", c.env, r)
		}
		if got := kept(); (got != "") != c.want {
			t.Errorf("%s: the host has kept %q, want something: %v", c.env, got, c.want)
		}
	}
	var shown any
	if r := finish(t, o.at(t, []string{"MITOSIS_CACHE=maybe"}, "config", "--json")); r.status != 2 || json.Unmarshal([]byte(r.out), &shown) == nil {
		t.Errorf("a cache of \"maybe\" ended with %+v, want a fault and nothing else", r)
	}
}
