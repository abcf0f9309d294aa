package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// typist gives the test a home with hosts: db1 and db2 of an inventory, and web1, web2 and inc1 of
// ssh_config.
func typist(t *testing.T) (home string) {
	t.Helper()
	home = t.TempDir()
	t.Setenv("HOME", home)
	for name, text := range map[string]string{
		"hosts.yaml": "hosts: {db1: , db2: }\ngroups: {dbs: \"db[1-2]\"}\n", ".ssh/config": "Include more/*\nHost web1 web2\n  User me\nHost *.example !no\n",
		".ssh/more/a": "Host=inc1\ninclude more/b\n", ".ssh/more/b": "Include config\nHost \"inc2\"\n", ".ssh/more/dir/c": "Host never\n",
	} {
		name = filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	withSettings(t, "inventory: ["+filepath.Join(home, "hosts.yaml")+"]\n")
	return home
}

// completes returns the completions of the last word, without their descriptions, and the number
// that tells the shell how to take them.
func completes(t *testing.T, args ...string) (found []string, how string) {
	t.Helper()
	out, _, status := runs(t, append([]string{"__complete"}, args...)...)
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if status != 0 || !strings.HasPrefix(lines[len(lines)-1], ":") {
		t.Fatalf("%q: status %d, %q", args, status, out)
	}
	for _, line := range lines[:len(lines)-1] {
		word, _, _ := strings.Cut(line, "\t")
		found = append(found, word)
	}
	return found, lines[len(lines)-1]
}

func TestCompletion(t *testing.T) {
	typist(t)
	const files, none, more = ":0", ":4", ":6"
	for _, c := range []struct {
		line string // with spaces; the last word is typed
		want string // all completions, or with "..." behind some of them
		how  string
	}{
		{"run we", "web1 web2", more},
		{"run web1 db", "db1 db2", more},
		{"run -n -e A=b in", "inc1 inc2 incus:", more},
		{"run ssh:", "ssh:db1 ssh:db2 ssh:inc1 ssh:inc2 ssh:web1 ssh:web2", more},
		{"run ssh:me@db", "ssh:me@db1 ssh:me@db2", more},
		{"run me@db", "me@db1 me@db2", more},
		{"run ssh:db1,me@web", "ssh:db1,me@web1 ssh:db1,me@web2", more},
		{"run ssh:web1/su", "ssh:web1/su ssh:web1/sudo", more},
		{"run web1/we", "web1/web1 web1/web2", more},
		{"run web1/sudo?lo", "web1/sudo?login", more},
		{"run web1/sudo?login&ty", "web1/sudo?login&type", more},
		{"run chroot:[/a/b", "", more},
		{"run docke", "docker:", more},
		{"run loca", "local", more},
		{"run -w @", "@all @dbs @*", more},
		{"run -w db1,@d", "db1,@dbs", more},
		{"run -w web[1-2],d", "web[1-2],db1 web[1-2],db2 ...", more},
		{"run -w web1 -x we", "web1 web2", more},
		{"run --exclude=we", "web1 web2", more},
		{"run --js", "--json", none},
		{"run -json we", "web1 web2", more},
		{"run -i ", "", files},
		{"run -C ", "", none},
		{"run web1 -- ", "", none},
		{"run web1 -- --js", "", none},
		{"with a=we", "a=web1 a=web2", more},
		{"with we", "web1 web2", more},
		{"with web1 -- ", "", files},
		{"put we", "web1 web2", more},
		{"put web1 ", "", files},
		{"put -w web1 ", "", files},
		{"get web1 ", "", none},
		{"get web1 a ", "", files},
		{"forward we", "web1 web2", more},
		{"forward -L 1:a:2 we", "web1 web2", more},
		{"forward web1 ", "", none},
		{"socks web1 ", "", none},
		{"probe web1 we", "web1 web2", more},
		{"ssh we", "web1 web2", more},
		{"ssh web1 ", "", none},
		{"ssh web1 -", "", none},
		{"ssh --keep-jobs=false we", "web1 web2", more},
		{"help pro", "probe", none},
		{"config ", "show", none},
		{"config show ", "", none},
		{"version ", "", none},
		{"completion ", "bash zsh fish ...", none},
		{"ru", "run", none},
		{"run --inventory none.yaml db", "", more},
		{"run -F none we", "", more},
	} {
		found, how := completes(t, strings.Split(c.line, " ")...)
		want := strings.Fields(c.want)
		if i := slices.Index(want, "..."); i >= 0 {
			want = want[:i]
			found = found[:min(len(found), i)]
		}
		if c.line == "completion " {
			slices.Sort(found)
			slices.Sort(want)
		}
		if !slices.Equal(found, want) || how != c.how {
			t.Errorf("%q is completed by %q, %s; want %q, %s", c.line, found, how, want, c.how)
		}
	}
}

// A fault in what is read does no harm: the command itself tells of it.
func TestCompletionPassesFaultsOver(t *testing.T) {
	home := typist(t)
	if err := os.WriteFile(filepath.Join(home, "hosts.yaml"), []byte("hosts: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MITOSIS_LOG", "loud")
	if found, _ := completes(t, "run", "we"); !slices.Equal(found, []string{"web1", "web2"}) {
		t.Errorf("the completions are %q, want those of ssh_config", found)
	}
	t.Setenv("MITOSIS_INVENTORY", "-")
	if found, _ := completes(t, "run", "we"); !slices.Equal(found, []string{"web1", "web2"}) {
		t.Errorf("the completions are %q, want those of ssh_config, and standard input left alone", found)
	}
}

// A run that can be tried again is completed by its name.
func TestRecordsAreCompleted(t *testing.T) {
	home := typist(t)
	t.Setenv("XDG_STATE_HOME", home)
	dir, err := runsDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string]string{"20260101-000000-aaaa": "run", "20260102-000000-bbbb": "run", "20260103-000000-cccc": "put"} {
		if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(`{"command":"`+command+`","args":["-w","web[1-2]","--","true"]}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, _, _ := runs(t, "__complete", "run", "--retry-failed", "")
	if want := "20260102-000000-bbbb\t-w 'web[1-2]' -- true\n20260101-000000-aaaa\t-w 'web[1-2]' -- true\n:4\n"; out != want {
		t.Errorf("the completions are\n%swant\n%s", out, want)
	}
}

// The scripts are those of the library, with changes at a few places.
func TestScriptsOfShellsAreChanged(t *testing.T) {
	for shell, texts := range map[string]map[string]int{
		"bash": {" -n =:@ ": 2, " -n =: ": 0, "\"$cur\" @\n": 1, `COMPREPLY=("${COMPREPLY[@]//\\,/,}")` + "\n": 1},
		"fish": {`--max 1 -- \t`: 1, `--max 1 \t`: 0},
		"zsh":  {"compdef _mitosis mitosis\n": 1},
	} {
		script, _, status := runs(t, "completion", shell)
		for text, want := range texts {
			if n := strings.Count(script, text); n != want || status != 0 {
				t.Errorf("the script of %s has %q %d times, want %d: the library writes another one now", shell, text, n, want)
			}
		}
	}
}

func TestScriptsAreForKnownShells(t *testing.T) {
	for _, args := range [][]string{{"completion", "tcsh"}, {"completion", "bash", "more"}} {
		if out, errOut, status := runs(t, args...); status != exitUsage || out != "" || errOut == "" {
			t.Errorf("%q ended with %d and printed %q, %q; want %d and a message", args, status, out, errOut, exitUsage)
		}
	}
	if out, _, status := runs(t, "completion"); status != 0 || !strings.Contains(out, "bash|zsh|fish") {
		t.Errorf("completion ended with %d and printed %q", status, out)
	}
}
