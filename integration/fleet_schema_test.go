//go:build linux

package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/fleet"
	fleetjournal "github.com/mitosis-go/mitosis/contexts/fleet/journal"
)

// schema compiles one of docs/schema.
func schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	const id = "https://github.com/mitosis-go/mitosis/docs/schema/"
	c := jsonschema.NewCompiler()
	c.AssertContent()
	dir := filepath.Join("..", "docs", "schema")
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		name := file.Name()
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err == nil {
			err = c.AddResource(id+name, doc)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.Compile(id + name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON returns a value as a program reads it that has its JSON only.
func asJSON(t *testing.T, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	read, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// conforms makes sure that rows and the summary of them are as the schemas say, and add up.
func conforms(t *testing.T, r *fleet.Results[fleet.Output]) {
	t.Helper()
	row, summary := schema(t, "fleet-result.json"), schema(t, "fleet-summary.json")
	for _, one := range r.Rows() {
		if err := row.Validate(asJSON(t, one)); err != nil {
			t.Errorf("the row of %s: %v\n%v", one.Host, err, asJSON(t, one))
		}
	}
	s := r.Summary()
	if err := summary.Validate(asJSON(t, s)); err != nil {
		t.Errorf("the summary: %v\n%v", err, asJSON(t, s))
	}
	inErrors := 0
	for _, e := range s.Errors {
		inErrors += e.Count
	}
	if s.Hosts != r.Len() || s.OK+s.Failed+s.NotTried+s.Before != s.Hosts || inErrors != s.Failed+s.NotTried || s.Failed+s.NotTried != r.Failed().Len() {
		t.Errorf("the summary of %d results does not add up: %+v", r.Len(), s)
	}
}

// Results of every kind have the form of docs/schema, whatever a command prints.
func TestFleetResultsConformToTheSchema(t *testing.T) {
	name := filepath.Join(t.TempDir(), "journal")
	earlier, err := fleetjournal.Open(name)
	if err == nil {
		err = errors.Join(earlier.Begin("run", "unknown"), earlier.Begin("run", "done"), earlier.End("run", "done", nil), earlier.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	j, err := fleetjournal.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	scripts := map[string]string{
		"plain": "echo out; echo err >&2", "silent": "true", "fails": "echo partly; exit 7", "quiet": "exit 1",
		"binary": `printf '\377\000\033[31m'`, "controls": `printf '\033\302\233\177é'`, "cut": "yes äöü | head -c 4004", "killed": "kill -9 $$", "slow": "sleep 60",
		"done": "true", "unknown": "true", "broken": "", "late": "true",
	}
	names := []string{"plain", "silent", "fails", "quiet", "binary", "controls", "cut", "killed", "slow", "done", "unknown", "broken", "late"}
	g, err := fleet.New(master(t, nil), fleet.NewHosts(names...), &fleet.Config{
		Policy: fleet.Policy{Timeout: stretched(time.Second), Journal: j, Name: "run", Batches: []fleet.Share{{N: len(names) - 1}}, StopAbove: &fleet.Share{N: 1}},
		Hops: func(name string) ([]connect.Method, error) {
			argv := []string{"env"}
			if name == "broken" {
				argv = []string{"/nonexistent/tool"}
			}
			return []connect.Method{local.Exec{Name: name, Argv: argv}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := fleet.Collect(fleet.Run(t.Context(), g, fleet.Command{
		Args: []string{"sh", "-c", `eval "$SCRIPT"`}, Keep: 1000,
		Make: func(m *fleet.Member, c *contexts.Command) error {
			c.Env = append(c.Env, "SCRIPT="+scripts[m.Name()])
			return nil
		},
	}))
	conforms(t, r)
	kinds := make(map[string]fleet.Kind)
	for _, row := range r.Rows() {
		kinds[row.Host] = row.Kind
		if row.Value == nil {
			continue
		}
		var back fleet.Output
		if b, err := json.Marshal(row.Value); err != nil || json.Unmarshal(b, &back) != nil {
			t.Fatalf("%s: %v", row.Host, err)
		}
		kept := row.Value.Stdout
		if row.Host == "cut" {
			kept = bytes.TrimLeftFunc(kept, func(r rune) bool { return r == '\ufffd' })
		}
		if !bytes.Equal(back.Stdout, kept) || back.ExitStatus != row.Value.ExitStatus || back.StdoutBytes != row.Value.StdoutBytes {
			t.Errorf("%s: %q was read back as %q", row.Host, row.Value.Stdout, back.Stdout)
		}
	}
	want := map[string]fleet.Kind{
		"plain": "", "silent": "", "binary": "", "controls": "", "cut": "", "done": "", "fails": fleet.KindExit, "quiet": fleet.KindExit, "killed": fleet.KindExit,
		"slow": fleet.KindTimeout, "unknown": fleet.KindUnknown, "broken": fleet.KindConnect, "late": fleet.KindNotTried,
	}
	if fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Errorf("the kinds are\n%v, want\n%v", kinds, want)
	}

	// The schema tells a wrong row from a right one.
	row := schema(t, "fleet-result.json")
	for _, wrong := range []string{
		`{}`, `{"host":"a","ok":true,"attempts":1,"seconds":1}`, `{"host":"a","ok":false,"attempts":1,"seconds":1,"error":"x"}`,
		`{"host":"a","ok":false,"attempts":1,"seconds":1,"error":"x","kind":"odd"}`,
		`{"host":"a","ok":true,"before":true,"attempts":0,"seconds":0,"error":"x","kind":"other"}`,
		`{"host":"a","ok":true,"attempts":1,"seconds":1,"value":{"stdout_bytes":0,"stderr_bytes":0,"exit_status":0}}`,
	} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(wrong))
		if err != nil {
			t.Fatal(err)
		}
		if row.Validate(v) == nil {
			t.Errorf("%s conforms to the schema, which it must not", wrong)
		}
	}
}
