//go:build linux

package integration

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// A user at a terminal gets a terminal at the far side. Its size follows the user's window.
func TestShellAtATerminalOfTheShim(t *testing.T) {
	t.Parallel()
	o := newOffice(t, map[string]string{"/home/app/.bashrc": "PS1='at your service: '"})
	scenes := []scene{look(o.desk), look(o.web)}
	s := sit(t, o.command(t.Context(), "ssh", o.path+"/sudo:app"))
	s.answer(t, "at your service: ", "cat\r")
	s.answer(t, "cat\r\n", "typed\r")
	s.answer(t, "typed\r\ntyped\r\n", "\x03")
	if err := pty.Setsize(s.terminal, &pty.Winsize{Rows: 30, Cols: 100}); err != nil {
		t.Fatal(err)
	}
	s.answer(t, "at your service: ", `until test "$(stty size)" = "30 100"; do :; done; id -un; exit 5`+"\r")
	status, shown := s.end()
	if status != 5 || !strings.Contains(shown, "^C") || !strings.Contains(shown, "\napp\r\n") {
		t.Errorf("the status is %d, want 5, and want ^C and app in %q", status, shown)
	}
	for _, s := range scenes {
		s.restored(t, patience, "/root/.ssh/known_hosts", "/home/app/.bash_history")
	}
}

// stubborn is a command that ignores signals, and has a child that ignores them too.
const stubborn = `trap "" TERM HUP INT; sleep 86000 & echo ready; while :; do sleep 86001; done`

// stubbornIsGone is a piece of script that waits until both processes of stubborn have ended.
const stubbornIsGone = `while ssh -n web 'pgrep -u $(id -u) -f "sleep 8600[01]"' >/dev/null; do :; done
`

// startStubborn is a piece of script that starts stubborn by a shim. $p is the shim's process ID.
const startStubborn = `exec 3>&2 2>/dev/null; feed=$(mktemp -u); mkfifo $feed; ssh web '` + stubborn + `' >$feed 2>&3 & p=$!
read word <$feed; test $word = ready; rm $feed
`

// A command does not outlive the shim that started it. A shim does not outlive its program.
func TestEndsOfShims(t *testing.T) {
	t.Parallel()
	o := newOfficeOf(t, containerHost)
	scenes := []scene{look(o.desk), look(o.web)}
	t.Run("at once", func(t *testing.T) {
		for _, a := range bothAccounts {
			t.Run(a.name, func(t *testing.T) {
				t.Parallel()
				endsOfShims(t, o, a)
			})
		}
	})
	for _, a := range bothAccounts {
		t.Run("the program is killed, "+a.name, func(t *testing.T) { endOfTheProgram(t, o, a) })
	}
	// The next program removes the files that the killed ones have left.
	if got := finish(t, o.with(t.Context(), behindSudo, "true", "")); got != (result{}) {
		t.Errorf("the next program ended with %+v, want status 0 and no output", got)
	}
	for _, s := range scenes {
		s.restored(t, patience, toolTraces...)
	}
}

func endsOfShims(t *testing.T, o *office, a closedAccount) {
	for _, c := range []struct{ name, script, out, err string }{
		{"the shim is killed", startStubborn + `kill -KILL $p; wait $p || echo $?` + "\n" + stubbornIsGone, "137\n", ""},
		{"the shim is told to end", startStubborn + `kill -TERM $p; wait $p || echo $?` + "\n" + stubbornIsGone, "255\n", "killed by signal 15"},
		{"the shim is hung up", startStubborn + `kill -HUP $p; wait $p || echo $?` + "\n" + stubbornIsGone, "255\n", "killed by signal 1"},
		{"who reads has gone", `ssh web yes 2>/dev/null | head -n 1; while ssh -n web 'pgrep -u $(id -u) -x yes' >/dev/null; do :; done`, "y\n", ""},
		{"the tool is killed", `exec 2>/dev/null; rsync --bwlimit=1 /usr/bin/git web:copy & p=$!
			until ssh -n web 'pgrep -u $(id -u) -x rsync' >/dev/null; do :; done
			kill -KILL $p; wait $p || echo $?
			while ssh -n web 'pgrep -u $(id -u) -x rsync' >/dev/null; do :; done; while pgrep -x rsync >/dev/null; do :; done; ssh -n web rm -f ".copy.*" copy`, "137\n", ""},
		{"the hop is lost", `set +e; ssh web 'kill -9 $PPID; sleep 86000'; echo $?`, "255\n", a.hops[strings.LastIndexByte(a.hops, '/')+1:]},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if got := finish(t, o.with(ctx, a, "sh", c.script)); got.out != c.out || got.status != 0 || !strings.Contains(got.err, c.err) || c.err == "" && got.err != "" {
				t.Errorf("the script ended with %+v, want %q and the message %q", got, c.out, c.err)
			}
		})
	}
}

// endOfTheProgram kills the program. Its tool would run forever, and has a child that the
// program does not know.
func endOfTheProgram(t *testing.T, o *office, a closedAccount) {
	before := look(o.desk)
	cmd := o.with(t.Context(), a, "sh", `(set +e; ssh web '`+stubborn+`'; echo $?) & while :; do sleep 0.01; done`)
	out := new(journal)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, out, patience
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the script is ready", func() bool { return out.String() == "ready\n" })
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // for all processes that have its output
	before.quiet(t, patience)
	if got := out.String(); !strings.HasSuffix(got, "is gone\r\n255\n") {
		t.Errorf("the terminal shows %q, want at its end that the job is gone, and status 255", got)
	}
}
