//go:build linux

package broker_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExec(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	for name, test := range map[string]struct {
		request        header
		body           string
		stdout, stderr string
		status         int
	}{
		"outputs apart":       {sh("echo out; echo err >&2"), "", "out\n", "err\n", 0},
		"one output":          {sh("echo 1; echo 2 >&2; echo 3; echo 4 >&2", header{"merge": true}), "", "1\n2\n3\n4\n", "", 0},
		"a status":            {sh("exit 7"), "", "", "", 7},
		"no input":            {sh("cat; echo end"), "", "end\n", "", 0},
		"environment":         {sh(`echo "$A"; env | grep -c HOME`, header{"env": header{"A": "b=c\nd", "PATH": "/usr/bin:/bin"}, "clear_env": true}), "", "b=c\nd\n0\n", "", 1},
		"directory":           {sh("pwd", header{"dir": "/usr"}), "", "/usr\n", "", 0},
		"arguments in a body": {header{"op": "exec", "path": "local"}, "printf\x00%s|%s|%s\x00\xff\xfe\x00\x00a\nb\x00", "\xff\xfe||a\nb", "", 0},
		"no last zero byte":   {header{"op": "exec", "path": "local"}, "echo\x00a", "a\n", "", 0},
		"a shell":             {header{"op": "exec", "path": "local", "shell": true, "argv": []string{"-c", "echo $((6*7))"}}, "", "42\n", "", 0},
		"two hops":            {header{"op": "exec", "path": "local/local", "argv": []string{"echo", "far"}}, "", "far\n", "", 0},
	} {
		a := c.ask(test.request, []byte(test.body)...)
		out := a.streams["stdout"]
		if a.kind() != "" || out != test.stdout || a.streams["stderr"] != test.stderr || string(a.Status) != fmt.Sprint(test.status) || *a.Code != test.status {
			t.Errorf("%s: %v, %q, %q, want %q, %q and status %d", name, a.heard, out, a.streams["stderr"], test.stdout, test.stderr, test.status)
		}
		if !a.ended["stdout"] || test.request["merge"] == nil && !a.ended["stderr"] {
			t.Errorf("%s: ends of streams %v, want that of each", name, a.ended)
		}
		if !strings.Contains(string(a.raw), `"signal":""`) {
			t.Errorf("%s: %s, want a signal, which is empty", name, a.raw)
		}
	}
}

func TestExecRefusals(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	argv := []string{"true"}
	text644 := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text644, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		request any
		body    string
		kind    string
	}{
		"no such program":        {header{"op": "exec", "path": "local", "argv": []string{"no-such-program-at-all"}}, "", "not_found"},
		"no such file":           {header{"op": "exec", "path": "local", "argv": []string{"/no/such/file"}}, "", "not_found"},
		"no program":             {header{"op": "exec", "path": "local", "argv": []string{text644}}, "", "permission"},
		"a directory is missing": {header{"op": "exec", "path": "local", "argv": argv, "dir": "/no/such"}, "", "not_found"},
		"no arguments":           {header{"op": "exec", "path": "local"}, "", "usage"},
		"no path":                {header{"op": "exec", "argv": argv}, "", "usage"},
		"a path that is none":    {header{"op": "exec", "path": "local?no=thing", "argv": argv}, "", "usage"},
		"unknown method":         {header{"op": "exec", "path": "nothing:x", "argv": argv}, "", "usage"},
		"empty hop":              {header{"op": "exec", "path": "local//local", "argv": argv}, "", "usage"},
		"no operation":           {header{"op": "fly"}, "", "usage"},
		"a huge operation":       {text(`{"op":"` + strings.Repeat("<", 900_000) + `"}`), "", "usage"},
		"a huge path":            {text(`{"op":"exec","argv":["true"],"path":"ssh:` + strings.Repeat("<", 900_000) + `"}`), "", "usage"},
		"a zero byte":            {header{"op": "exec", "path": "local", "argv": []string{"echo", "a\x00b"}}, "", "error"},
		"bad environment":        {header{"op": "exec", "path": "local", "argv": argv, "env": header{"A=B": "c", "": "d"}}, "", "error"},
		"bad terminal":           {header{"op": "exec", "path": "local", "argv": argv, "pty": header{"rows": -1, "cols": 1 << 30}}, "", "error"},
	} {
		a := c.ask(test.request, []byte(test.body)...)
		if a.kind() != test.kind || a.Error.Message == "" {
			t.Errorf("%s: %.300s, want kind %s", name, a.raw, test.kind)
		}
		if len(a.streams) > 0 || len(a.frames) > 0 {
			t.Errorf("%s: %v %v, want only the last frame", name, a.streams, a.frames)
		}
	}
	if c.run("echo well") != "well\n" {
		t.Error("after all that the connection does not work")
	}
}

// An output never comes before the frame that says that the command runs.
func TestStartedIsFirst(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	for range 300 {
		c.send(header{"op": "exec", "path": "local", "argv": []string{"echo", "x"}}, nil)
		if f := c.next(); f.Event != "started" || f.PID <= 0 {
			t.Fatalf("the first frame is %v, want that it has started", f)
		}
		c.finish().want(t, "")
	}
}

// Input is bounded by the credit that the broker gives, and output by that of the client.
func TestExecStreams(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	data := make([]byte, 5<<20+7)
	_, _ = rand.Read(data)
	sum := sha256.Sum256(data)
	c.send(header{"op": "exec", "path": "local", "argv": []string{"sha256sum"}, "stdin": true}, nil)
	credit, left := int64(262_144), data
	var a *answer
	for a == nil {
		for credit > 0 && left != nil {
			n := min(int(credit), len(left), 50_000)
			credit -= int64(n)
			c.send(header{"stream": "stdin", "end": n == len(left)}, left[:n])
			if left = left[n:]; len(left) == 0 {
				left = nil
			}
		}
		if left != nil {
			f := c.until("credit", func(f *heard) bool { return f.Credit > 0 })
			if f.Stream != "stdin" {
				t.Fatalf("credit for %q", f.Stream)
			}
			credit += f.Credit
			continue
		}
		a = c.finish()
	}
	if got := strings.Fields(a.streams["stdout"]); len(got) == 0 || got[0] != hex.EncodeToString(sum[:]) {
		t.Errorf("the command has read other bytes than were sent: %v", a.streams)
	}

	// The broker sends no more than it may. Its output comes to the byte.
	c.send(header{"op": "exec", "path": "local", "argv": []string{"sh", "-c", "head -c 300000 /dev/zero; echo done >&2"}, "window": 1000}, nil)
	c.started()
	got, errors := 0, ""
	allowed := 1000
	for got < 300_000 {
		f := c.until("output", func(f *heard) bool { return f.Stream != "" })
		if f.Stream == "stderr" {
			errors += string(f.body)
			continue
		}
		if got += len(f.body); got > allowed {
			t.Fatalf("%d bytes came, %d were allowed", got, allowed)
		}
		if got == allowed {
			allowed += 70_000
			c.send(header{"credit": 70_000, "stream": "stdout"}, nil)
		}
	}
	a = c.finish()
	if errors += a.streams["stderr"]; got != 300_000 || errors != "done\n" || a.kind() != "" {
		t.Errorf("%d bytes, %q, %v; want 300000 and that it is done", got, errors, a.heard)
	}
}

// Without credit for its standard output, a command's standard error still comes.
func TestOneOutputDoesNotHoldUpTheOther(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	c.send(sh("(head -c 1000 /dev/zero; sleep 1000) & sleep 0; echo err >&2; wait", header{"window": 10}), nil)
	if got := c.said("stderr", 4); got != "err\n" {
		t.Errorf("%q on standard error, want err", got)
	}
	c.send(header{"cancel": true}, nil)
	c.finish().want(t, "cancelled")
}

func TestExecTerminal(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	c.send(sh(`echo $TERM; stty size; trap 'stty size; exit 3' WINCH; echo ready; while :; do sleep 0.01; done`,
		header{"pty": header{"rows": 31, "cols": 101, "term": "vt100"}}), nil)
	c.started()
	text := ""
	for !strings.Contains(text, "ready") {
		text += c.said("stdout", 1)
	}
	c.send(header{"resize": header{"rows": 50, "cols": 132}}, nil)
	a := c.finish().want(t, "")
	if text += a.streams["stdout"]; !strings.Contains(text, "vt100\r\n31 101\r\n") || !strings.Contains(text, "50 132\r\n") || *a.Code != 3 {
		t.Errorf("%q, %v; want both sizes of the terminal", text, a.heard)
	}
	if _, has := a.streams["stderr"]; has {
		t.Errorf("%v, want one output", a.streams)
	}
}

// Signals, and sizes, that come before the command runs wait for it.
func TestOrdersWaitForTheCommand(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for range 20 {
		c := s.dial()
		c.send(header{"op": "exec", "path": "local", "argv": []string{"sleep", "1000"}}, nil)
		c.send(header{"signal": "NOSUCHSIGNAL"}, nil)
		c.send(header{"resize": header{"rows": 1, "cols": 1}}, nil)
		c.send(header{"signal": "KILL"}, nil)
		a := c.finish().want(t, "")
		if a.Signal != "KILL" || *a.Code != -1 || string(a.Status) != "137" {
			t.Errorf("%v, want the end by KILL", a.heard)
		}
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	c.send(sh("sleep 1000; true"), nil)
	c.started()
	c.send(header{"signal": "TERM", "group": true}, nil) // INT is ignored where the tests run in the background of a shell
	if a := c.finish().want(t, ""); a.Signal != "TERM" {
		t.Errorf("%v, want the end by TERM", a.heard)
	}
	c.send(sh("trap 'echo got; exit 9' USR1; echo ready; while :; do sleep 0.01; done"), nil)
	c.said("stdout", len("ready\n"))
	c.send(header{"signal": "USR1"}, nil)
	if a := c.finish().want(t, ""); *a.Code != 9 || a.streams["stdout"] != "got\n" {
		t.Errorf("%v %v, want that USR1 was caught", a.heard, a.streams)
	}
}
