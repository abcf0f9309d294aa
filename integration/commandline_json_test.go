//go:build linux

package integration

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// What a command prints for people as lines or as a table, it prints for programs as JSON, of a
// form that docs/schema tells.
func TestJSONConformsToItsSchema(t *testing.T) {
	t.Parallel()
	o := newOffice(t, map[string]string{"/srv/tree/file": "text\n", "/srv/tree/more/file": "more\n"})
	for _, c := range []struct {
		schema string
		lines  int
		args   string
		has    []string // parts of the output
	}{
		{"version.json", 1, "version --json", []string{`"goos":"linux"`}},
		{"help.json", 1, "help --json", []string{`"name":"run"`, `"name":"completion"`}},
		{"help.json", 1, "help forward --json", []string{`"name":"local","letter":"L","value":"[BIND:]PORT:HOST:PORT"`}},
		{"config.json", 1, "config --json", nil},
		{"dry-run.json", 1, "run --json --dry-run PATH/sudo -- echo x", []string{`"argv":null`, `"argv":["sudo"`, `"do":"echo x"`}},
		{"dry-run.json", 2, "put --json --dry-run -w web[1-2] a b", []string{`"host":"web2"`, `"do":"put a b"`}},
		{"dry-run.json", 1, "probe --json --dry-run local", []string{`"do":"probe"`}},
		{"copy.json", 1, "put --json PATH /root/.ssh/known_hosts /tmp/", []string{`"target":"/tmp/known_hosts"`, `"sha256":`, `"files":1`}},
		{"copy.json", 2, "get --json PATH /srv/tree /etc/hostname /root/", []string{`"target":"/root/tree"`, `"dirs":2`, `"files":2`}},
		{"copy.json", 1, "put --json -q -w PATH /root/.ssh/known_hosts /tmp/", []string{`"host":"ssh:deploy`}},
		{"copy.json", 1, "put --json PATH/sudo /root/.ssh/known_hosts /etc/hostname", nil},
		{"fleet-result.json", 1, "run --json -q PATH -- echo x", []string{`"stdout":"x\n"`}},
	} {
		args := strings.Fields(strings.ReplaceAll(c.args, "PATH", o.path))
		r := finish(t, o.command(t.Context(), args...))
		if r.status != 0 {
			t.Errorf("%s ended with %+v", c.args, r)
			continue
		}
		conformsTo(t, c.schema, r.out, c.lines)
		for _, part := range c.has {
			if !strings.Contains(r.out, part) {
				t.Errorf("%s printed no %s:\n%s", c.args, part, r.out)
			}
		}
	}
	refusesAll(t, "version.json", `{}`, `{"version":"1","goos":"linux","goarch":"amd64","go":"go1"}`)
	refusesAll(t, "help.json", `{}`, `{"version":"v0","commands":[]}`, `{"version":"v0","commands":[{"name":"run"}]}`)
	refusesAll(t, "dry-run.json", `{}`, `{"host":"a","hops":[],"do":"x"}`, `{"host":"a","hops":[{"hop":"local"}],"do":"x"}`)
	refusesAll(t, "copy.json", `{}`, `{"source":"a","target":"b","files":1,"dirs":0,"links":0,"size":-1,"sent":0}`,
		`{"source":"a","target":"b","files":1,"dirs":0,"links":0,"size":1,"sent":0,"sha256":"short"}`)
	refusesAll(t, "listener.json", `{}`, `{"option":"X","network":"tcp","address":"a"}`, `{"option":"L","network":"tcp","address":"a","target":"b"}`,
		`{"option":"D","network":"tcp","address":"a","target":"b","target_network":"tcp"}`)
}

// Listeners are told of when they are open.
func TestListenersInJSON(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	for _, c := range []struct {
		args    string
		lines   int
		options string
	}{
		{"forward --json -L 127.0.0.1:0:localhost:22 -L /run/here:localhost:22 -R 127.0.0.1:0:/run/far -R 127.0.0.1:0 -D 127.0.0.1:0 PATH", 5, "LLRRD"},
		{"socks --json PATH 127.0.0.1:0", 1, "D"},
	} {
		cmd := o.command(t.Context(), strings.Fields(strings.ReplaceAll(c.args, "PATH", o.path))...)
		out := listening(t, cmd, c.lines)
		conformsTo(t, "listener.json", out, c.lines)
		var options string
		for line := range strings.Lines(out) {
			var one struct{ Option, Address string }
			if err := json.Unmarshal([]byte(line), &one); err != nil || one.Address == "" {
				t.Errorf("%v: %s", err, line)
			}
			options += one.Option
		}
		if options != c.options {
			t.Errorf("the listeners are %s, want %s:\n%s", options, c.options, out)
		}
	}
}

// listening returns the first lines that a command prints, and ends it in order.
func listening(t *testing.T, cmd *lab.Cmd, lines int) string {
	t.Helper()
	var out, errs journal
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the listeners are open", func() bool { return strings.Count(out.String(), "\n") >= lines })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v, want 0: %s", err, errs.String())
	}
	return out.String()
}
