//go:build linux

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A screen is the terminal of a user: a window of tmux at the desk.
type screen struct {
	o    *office
	name string
}

// onScreen starts a command line in a window.
func (o *office) onScreen(t *testing.T, name, line string) screen {
	t.Helper()
	s := screen{o, name}
	// The sleep behind the line keeps the window. stty shows whether the terminal echoes
	// again.
	s.tmux(t, "new-session", "-d", "-x", "80", "-y", "24", line+`; echo "status $?"; stty -a | grep -ow -e -echo -e echo; exec sleep 86000`)
	t.Cleanup(func() {
		_, _ = o.desk.Exec(context.Background(), "tmux", "-L", name, "kill-server") // it may be gone
	})
	return s
}

func (s screen) tmux(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := s.o.desk.Exec(ctx, append([]string{"tmux", "-f", "/dev/null", "-L", s.name}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// look returns the picture on the screen, with colours, attributes and cursor.
func (s screen) look(t *testing.T) string {
	t.Helper()
	return s.tmux(t, "capture-pane", "-p", "-e") + s.tmux(t, "display-message", "-p", "#{cursor_x},#{cursor_y} of #{pane_width}x#{pane_height}, alternate #{alternate_on}")
}

// A full-screen program shows the same picture over a context, over the shim and over ssh, after
// the same keys and sizes of the window.
func TestFullScreenProgramsLookAsOverSSH(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 200 {
		fmt.Fprintf(&text, "line %d: Zwölf Boxkämpfer, \t%s\n", i, strings.Repeat("wide ", i%30))
	}
	o := newOffice(t, map[string]string{"/home/deploy/text.conf": text.String()})
	ssh := fmt.Sprintf("ssh -q -t -p %d deploy@%s ", port(t, o.web), o.web.IP())
	type step struct {
		keys   []string // for tmux send-keys
		resize [2]string
		shows  string
	}
	for name, c := range map[string]struct {
		program string
		steps   []step
	}{
		"vi": {"vi -n -i NONE text.conf", []step{
			{shows: "line 0:"},
			{keys: []string{"G"}, shows: "line 199"},
			{keys: []string{"o", "some words", "Escape"}, shows: "some words"},
			{keys: []string{":split", "Enter"}, shows: "[+]"},
			{resize: [2]string{"101", "37"}, shows: "some words"},
			{keys: []string{"gg", "/line 77", "Enter"}, shows: "line 77"},
			{resize: [2]string{"60", "15"}, shows: "line 77"},
			{keys: []string{":qa!", "Enter"}, shows: "status 0\necho"},
		}},
		"nano": {"nano -I text.conf", []step{
			{shows: "line 0:"},
			{keys: []string{"C-w", "line 150", "Enter"}, shows: "line 150"},
			{keys: []string{"C-k", "C-k", "new"}, shows: "new"},
			{resize: [2]string{"120", "40"}, shows: "new"},
			{keys: []string{"C-x"}, shows: "Save modified buffer"},
			{keys: []string{"n"}, shows: "status 0\necho"},
		}},
		"shell job control": {"bash --norc", []step{
			{shows: "bash-"},
			{keys: []string{"PS1='> '", "Enter", "clear", "Enter"}, shows: ">"},
			{keys: []string{"sh -c 'echo $((6*7)); exec sleep 86000'", "Enter"}, shows: "42"},
			{keys: []string{"C-z"}, shows: "Stopped"},
			{keys: []string{"fg", "Enter"}, shows: "> fg"},
			{keys: []string{"C-c"}, shows: "^C\n>"},
			{keys: []string{"stty size", "Enter"}, shows: "24 80"},
			{keys: []string{"C-d"}, shows: "status 0\necho"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			tag := strings.ReplaceAll(name, " ", "-")
			const env = "env LANG=C.UTF-8 TERM=screen "
			plain := o.onScreen(t, tag+"-ssh", ssh+env+c.program)
			ours := o.onScreen(t, tag+"-mitosis", o.program+" run -t -C /home/deploy "+o.path+" -- "+env+c.program)
			shim := o.onScreen(t, tag+"-shim", o.program+" with "+o.path+" -- ssh -q -t web "+env+c.program)
			for i, s := range c.steps {
				for _, screen := range []screen{plain, ours, shim} {
					if len(s.keys) > 0 {
						screen.tmux(t, append([]string{"send-keys"}, s.keys...)...)
					}
					if s.resize[0] != "" {
						screen.tmux(t, "resize-window", "-x", s.resize[0], "-y", s.resize[1])
					}
				}
				for _, screen := range []screen{ours, shim} {
					alike(t, fmt.Sprintf("step %d of %s", i+1, name), plain, screen, s.shows)
				}
			}
		})
	}
}

// alike waits until two screens show the same picture, with a text in it.
func alike(t *testing.T, what string, a, b screen, shows string) {
	t.Helper()
	var one, other string
	for deadline := time.Now().Add(patience / 2); ; <-time.After(20 * time.Millisecond) {
		one, other = a.look(t), b.look(t)
		if one == other && strings.Contains(one, shows) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: the screens show, one above its name,\n%s\n%s:\n%s\n%s:\nwant them equal, with %q", what, one, a.name, other, b.name, shows)
		}
	}
}
