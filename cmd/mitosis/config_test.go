package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/mitosis-go/mitosis/cmd/internal/settings"
)

// withSettings gives the test a user whose file of settings has a text.
func withSettings(t *testing.T, text string) (file string) {
	t.Helper()
	for _, k := range settings.Keys() {
		t.Setenv(k.Variable(), "")
	}
	file = filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(settings.FileVariable, file)
	before := inForce
	t.Cleanup(func() { inForce = before })
	return file
}

// runs runs a command line, and returns what it prints.
func runs(t *testing.T, args ...string) (out, errOut string, status int) {
	t.Helper()
	var o, e bytes.Buffer
	status = execute(args, &o, &e)
	return o.String(), e.String(), status
}

// The page has a row for each setting, as the code has it.
func TestThePageOfTheCommandLineHasAllSettings(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, k := range settings.Keys() {
		option := "-"
		if k.Option != "" {
			option = "`" + k.Option + "`"
		}
		row := fmt.Sprintf("| `%s` | `%s` | %s | `%s` | %s | %s |\n", k.Name, k.Variable(), option, strings.ReplaceAll(k.Values, "|", `\|`), k.Default, k.About)
		rows = append(rows, row)
	}
	if want := strings.Join(rows, ""); !strings.Contains(string(page), want) {
		t.Errorf("docs/cli.md has not these rows one after the other, which the code has:\n%s", want)
	}
}

func TestConfigShowsValuesWithTheirSource(t *testing.T) {
	file := withSettings(t, "user: deploy\ncolours: never\n\nidentity: [a, b]\n")
	t.Setenv("MITOSIS_USER", "admin")
	out, errOut, status := runs(t, "config")
	dir := filepath.Dir(file)
	for _, want := range []string{
		"user admin $MITOSIS_USER", "colours never " + file + ":2:1", "broker auto default", "connect_timeout - default: none for one host, 2m for several",
		"identity " + filepath.Join(dir, "a") + " " + filepath.Join(dir, "b") + " " + file + ":4:1", "file: " + file,
	} {
		found := false
		for line := range strings.Lines(out) {
			found = found || strings.Join(strings.Fields(line), " ") == want
		}
		if !found {
			t.Errorf("no line of\n%s\nis %q", out, want)
		}
	}
	if status != 0 || errOut != "" {
		t.Errorf("it ended with %d and said %q, want 0 and nothing", status, errOut)
	}
	if shown, _, _ := runs(t, "config", "show"); shown != out {
		t.Errorf("config show prints\n%s\nand config prints\n%s", shown, out)
	}
}

func TestConfigInJSON(t *testing.T) {
	file := withSettings(t, "connect_timeout: 20s\ncache: yes\n")
	out, _, _ := runs(t, "config", "--json")
	var shown struct {
		File     string
		Settings []shownSetting
	}
	if err := json.Unmarshal([]byte(out), &shown); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := make(map[string]shownSetting)
	for _, s := range shown.Settings {
		got[s.Key] = s
	}
	if shown.File != file || len(got) != len(settings.Keys()) {
		t.Errorf("it shows %d settings of %s, want %d of %s", len(got), shown.File, len(settings.Keys()), file)
	}
	if want := (shownSetting{"connect_timeout", "20s", settings.File, "", 1, 1}); got["connect_timeout"] != want {
		t.Errorf("the time for connecting is %+v, want %+v", got["connect_timeout"], want)
	}
	if want := (shownSetting{Key: "user", Source: settings.Default}); got["user"] != want || got["cache"].Value != true {
		t.Errorf("the user is %+v, want %+v; the cache is %+v", got["user"], want, got["cache"])
	}
}

// Faults are told one on a line, without the usage of a command, which has none.
func TestFaultsInSettings(t *testing.T) {
	file := withSettings(t, "colors: never\nlog: loud\n")
	want := "mitosis: " + file + ":1:1: there is no key \"colors\": did you mean colours?\nmitosis: " + file + ":2:6: log: \"loud\" is none of debug, info, warn, error\n"
	for _, args := range [][]string{{"config"}, {"config", "--json"}, {"run", "local", "--", "true"}, {"run", "--dry-run", "web1", "--", "true"}, {"socks", "web1"}} {
		if out, errOut, status := runs(t, args...); status != exitUsage || errOut != want || out != "" {
			t.Errorf("%q ended with %d and printed %q, %q; want %d and\n%s", args, status, out, errOut, exitUsage, want)
		}
	}
	for _, args := range [][]string{{"version"}, {"help"}, {"help", "config"}, {"run", "--help"}} {
		if _, errOut, status := runs(t, args...); status != 0 || errOut != "" {
			t.Errorf("%q ended with %d and said %q, want it to work without settings", args, status, errOut)
		}
	}
}

func TestConfigTakesNoOtherOperand(t *testing.T) {
	withSettings(t, "")
	for _, args := range [][]string{{"config", "set"}, {"config", "show", "user"}} {
		if _, _, status := runs(t, args...); status != exitUsage {
			t.Errorf("%q ended with %d, want %d", args, status, exitUsage)
		}
	}
}

// Of an option, the environment and the file the first counts, also where it says nothing.
func TestOptionsCountMoreThanSettings(t *testing.T) {
	file := withSettings(t, "user: file\nidentity: [/k/file]\nssh_config: /c/file\n")
	for _, c := range []struct {
		name string
		args []string
		env  string
		want string
	}{
		{"file", nil, "", "file [/k/file] /c/file"},
		{"environment", nil, "env", "env [/k/file] /c/file"},
		{"option", []string{"-l", "option", "-i", "/k/option", "-F", "none"}, "env", "option [/k/option] none"},
		{"empty option", []string{"-l", ""}, "env", " [/k/file] /c/file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("MITOSIS_USER", c.env)
			if err := loadSettings(); err != nil {
				t.Fatal(err)
			}
			var s sections
			var o hostOptions
			o.declareOne(&s)
			for i := 0; i < len(c.args); i += 2 {
				name := map[string]string{"-l": "login-name", "-i": "identity", "-F": "ssh-config"}[c.args[i]]
				if err := s.flags[1].Set(name, c.args[i+1]); err != nil {
					t.Fatal(err)
				}
			}
			got := o.settings()
			if text := fmt.Sprint(got.User, " ", got.IdentityFiles, " ", got.ConfigFile); text != c.want {
				t.Errorf("the settings of ssh are %q, want %q; the file is %s", text, c.want, file)
			}
		})
	}
}

// NO_COLOR is a wish for programs that decide by themselves: a setting of this program counts
// more, as no-color.org says.
func TestColours(t *testing.T) {
	for _, c := range []struct {
		setting, noColor string
		terminal         bool
		want             bool
	}{
		{"auto", "", false, false}, {"auto", "", true, true}, {"auto", "1", true, false},
		{"always", "", false, true}, {"always", "1", true, true}, {"never", "", true, false},
	} {
		withSettings(t, "colours: "+c.setting+"\n")
		t.Setenv("NO_COLOR", c.noColor)
		t.Setenv("TERM", "xterm")
		if err := loadSettings(); err != nil {
			t.Fatal(err)
		}
		out, errOut := any(new(bytes.Buffer)), any(new(bytes.Buffer))
		if c.terminal {
			master, tty, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer master.Close()
			defer tty.Close()
			out, errOut = tty, tty
		}
		s := newScreen(out.(io.Writer), errOut.(io.Writer), nil)
		for _, stderr := range []bool{false, true} {
			if coloured := bytes.Contains(s.label("web1", ": ", stderr), []byte("\x1b[")); coloured != c.want {
				t.Errorf("%+v: on standard error %v: coloured is %v, want %v", c, stderr, coloured, c.want)
			}
		}
	}
}
