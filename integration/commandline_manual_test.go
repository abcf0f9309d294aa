//go:build linux

package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// The manual has a page for each command, with each of its options, and its pages are such as man
// shows them.
func TestManual(t *testing.T) {
	t.Parallel()
	lab.Require(t)
	program, dir := buildProgram(t), t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "run", "./manual", "-o", dir, program, "../docs/cli.md").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Fatalf("the manual can't be made: %v\n%s", err, out)
	}
	help, err := exec.CommandContext(t.Context(), program, "help", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var told struct {
		Commands []struct {
			Name, Usage string
			Sections    []struct {
				Options []struct{ Name, Text string }
			}
		}
	}
	if err := json.Unmarshal(help, &told); err != nil {
		t.Fatal(err)
	}
	page := func(name string) string {
		t.Helper()
		name = filepath.Join(dir, name)
		// There is no date: the same program has the same pages.
		lint, _ := exec.CommandContext(t.Context(), "mandoc", "-T", "lint", "-W", "warning", name).Output()
		for line := range strings.Lines(string(lint)) {
			if !strings.Contains(line, "missing date") {
				t.Errorf("%s", line)
			}
		}
		shown, err := exec.CommandContext(t.Context(), "mandoc", "-T", "utf8", "-O", "width=1000", name).Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var plain []rune // without what makes characters bold and underlined
		for _, r := range string(shown) {
			if r == '\b' {
				plain = plain[:len(plain)-1]
				continue
			}
			plain = append(plain, r)
		}
		return strings.Join(strings.Fields(string(plain)), " ")
	}
	want := []string{"mitosis.1", "mitosis-cli.7"}
	root := page("mitosis.1")
	for _, c := range told.Commands {
		want = append(want, "mitosis-"+c.Name+".1")
		text := page("mitosis-" + c.Name + ".1")
		for _, part := range []string{"mitosis " + c.Usage, "SEE ALSO"} {
			if !strings.Contains(text, part) {
				t.Errorf("the page of %s has no %q:\n%s", c.Name, part, text)
			}
		}
		if !strings.Contains(root, "mitosis "+c.Usage) || !strings.Contains(root, "mitosis-"+c.Name+"(1)") {
			t.Errorf("the page of the program has no %s:\n%s", c.Name, root)
		}
		for _, s := range c.Sections {
			for _, o := range s.Options {
				if !strings.Contains(text, "--"+o.Name+" ") || !strings.Contains(text, strings.Join(strings.Fields(o.Text), " ")) {
					t.Errorf("the page of %s has no --%s, %q", c.Name, o.Name, o.Text)
				}
			}
		}
	}
	if text := page("mitosis-cli.7"); !strings.Contains(text, "WHERE A SETTING COMES FROM") || !strings.Contains(text, "variable: MITOSIS_FAN_OUT; option: --fanout; value: N") || strings.Contains(text, "|--") {
		t.Errorf("the page of the settings is\n%s", text)
	}
	var got []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(told.Commands) < 10 || !slices.Equal(got, want) {
		t.Errorf("the pages are %q, want %q", got, want)
	}
}

// Copies on other hosts carry nothing of the command line, and the command line nothing of its
// manual.
func TestAgentsCarryNoCommandLine(t *testing.T) {
	t.Parallel()
	for program, strangers := range map[string][]string{
		"cmd/agent":   {"github.com/spf13/cobra", "github.com/spf13/pflag", "go.yaml.in/yaml/v4", "github.com/vbauerster/mpb/v8", module + "cmd/internal/settings", "text/template"},
		"cmd/mitosis": {"github.com/cpuguy83/go-md2man/v2/md2man", "github.com/spf13/cobra/doc", "net/http"},
	} {
		deps := strings.Fields(goCommand(t, "list", "-deps", module+program))
		for _, stranger := range strangers {
			if slices.Contains(deps, stranger) {
				t.Errorf("%s depends on %s, want it to carry none of it", program, stranger)
			}
		}
	}
}
