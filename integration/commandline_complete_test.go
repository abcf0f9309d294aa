//go:build linux

package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// prompt is that of shells in which a test types.
const prompt = "typing> "

// shells are those that have a script of completions, with the lines that load it.
var shells = []struct {
	name string
	argv []string
	load string
}{
	{"bash", []string{"bash", "--norc", "--noprofile", "-i"}, ". /usr/share/bash-completion/bash_completion; . <(mitosis completion bash); echo loaded with $?"},
	{"zsh", []string{"zsh", "-f", "-i"}, "autoload -U compinit; compinit -u -D; . <(mitosis completion zsh); echo loaded with $?"},
	{"fish", []string{"fish", "--no-config", "-i"}, "mitosis completion fish | source; echo loaded with $status"},
}

// A typing desk has an inventory with db1 and db2, and an ssh_config with web1.
func typingDesk(t *testing.T) *lab.Running {
	t.Helper()
	lab.Require(t)
	return lab.Start(t, lab.Host{
		Name:  "desk",
		Binds: []string{buildProgram(t) + ":/usr/bin/mitosis:ro"},
		Env:   map[string]string{"XDG_CACHE_HOME": nothingKept, "PS1": prompt, "TERM": "vt100", "fish_features": "no-query-term"},
		Files: map[string]string{
			"/root/.ssh/config":                    "Include more\nHost web1\n",
			"/root/.ssh/more":                      "Host gate-of-the-lab\n",
			"/root/.config/mitosis/inventory.yaml": "hosts: {db1: , db2: }\ngroups: {bases: \"db[1-2]\"}\n",
			"/root/notes-of-the-lab.txt":           "notes\n",
		},
	})
}

// A tab completes hosts, hops, sets, options, commands and files in the shells that have a script
// for it, and the command gets the completed words.
func TestCompletionAtATerminal(t *testing.T) {
	t.Parallel()
	desk := typingDesk(t)
	for _, shell := range shells {
		t.Run(shell.name, func(t *testing.T) {
			s := sit(t, desk.Command(t.Context(), append([]string{"env", "-C", "/root"}, shell.argv...)...))
			if err := pty.Setsize(s.terminal, &pty.Winsize{Rows: 40, Cols: 200}); err != nil {
				t.Fatal(err)
			}
			enter := func(line, shown string) {
				t.Helper()
				before := len(s.shown.String())
				if _, err := s.terminal.WriteString(line + "\n"); err != nil {
					t.Fatal(err)
				}
				eventually(t, patience, fmt.Sprintf("%s has run %q and shows %q", shell.name, line, shown), func() bool {
					return strings.Contains(s.shown.String()[before:], shown)
				})
			}
			if shell.name == "fish" {
				enter("function fish_prompt; echo -n '"+prompt+"'; end; echo (math 20 + 1) is the prompt", "21 is the prompt")
			}
			enter(shell.load, "loaded with 0")
			for i, c := range []struct{ typed, want string }{
				{"mitosis vers\t", "mitosis v"},
				{"mitosis run --dry-run ssh:we\t -- true", "ssh:web1:\n"},
				{"mitosis run --dry-run ssh:me@we\t -- true", "ssh:me@web1:\n"},
				{"mitosis run --dry-run me@gat\t -- true", "me@gate-of-the-lab:\n"},
				{"mitosis run --dry-run ssh:gate-of-the-lab,me@we\t -- true", "ssh:gate-of-the-lab,me@web1:\n"},
				{"mitosis run --dry-run ssh:web1/sud\t:app -- true", "ssh:web1/sudo:app:\n"},
				{"mitosis run --dry-ru\t web1 -- true", "web1:\n"},
				{"mitosis run --dry-run -w @ba\t -- true", "db1:\n"},
				{"mitosis run --dry-run -w web1,@ba\t -- true", "web1:\n"},
				{"mitosis run --dry-run --hosts=gat\t -- true", "gate-of-the-lab:\n"},
				{"mitosis put --dry-run we\t note\t /srv/", "web1:\n"},
				{"mitosis help prob\t", "usage: mitosis probe"},
			} {
				out := fmt.Sprintf("/tmp/%s.%d", shell.name, i)
				sum := fmt.Sprintf("; echo (math %d + 1000) are over", i)
				if shell.name != "fish" {
					sum = fmt.Sprintf("; echo $((%d + 1000)) are over", i)
				}
				enter(c.typed+" >"+out+" 2>&1"+sum, fmt.Sprintf("%d are over", i+1000))
				got := finish(t, desk.Command(t.Context(), "cat", out)).out
				if !strings.HasPrefix(got, c.want) || strings.Contains(c.typed, "note") && !strings.Contains(got, "put notes-of-the-lab.txt /srv/") {
					t.Errorf("%q was run as a command that prints\n%swant\n%s", c.typed, got, c.want)
				}
			}
		})
	}
}

// All candidates come from the script as well, and in fish with what they mean.
func TestCompletionLists(t *testing.T) {
	t.Parallel()
	desk := typingDesk(t)
	// bash ends words at colons and at signs, and takes what is behind the last of them.
	bash := `. /usr/share/bash-completion/bash_completion; . <(mitosis completion bash)
compopt() { :; }
COMP_WORDS=(mitosis run ssh : me @ db) COMP_CWORD=6 COMP_LINE="mitosis run ssh:me@db" COMP_POINT=21 COMP_TYPE=9 COLUMNS=80
__start_mitosis mitosis db @; printf '%s\n' "${COMPREPLY[@]}"`
	for _, c := range []struct {
		argv []string
		want []string
	}{
		{[]string{"bash", "--norc", "--noprofile", "-c", bash}, []string{"db1", "db2"}},
		{[]string{"fish", "--no-config", "-c", "mitosis completion fish | source; complete -C 'mitosis run ssh:me@db'"}, []string{"ssh:me@db1", "ssh:me@db2"}},
		{[]string{"fish", "--no-config", "-c", "mitosis completion fish | source; complete -C 'mitosis run --js'"}, []string{"--json\ta JSON object for each host, on a line"}},
		{[]string{"mitosis", "__complete", "run", "ssh:me@db"}, []string{"ssh:me@db1", "ssh:me@db2", ":6"}},
	} {
		r := finish(t, desk.Command(t.Context(), c.argv...))
		if got := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n"); r.status != 0 || !slices.Equal(got, c.want) {
			t.Errorf("%q ended with %+v, want %q", c.argv, r, c.want)
		}
	}
}
