//go:build linux

package tool_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/local"
)

// everyWay is each method of this file's kind that runs a script.
func everyWay() map[string]connect.Method {
	return map[string]connect.Method{
		"local":    local.Child{},
		"command":  local.Exec{Argv: []string{"env"}},
		"no tty":   local.Exec{Argv: []string{"env"}, Terminal: connect.TerminalNone},
		"only tty": local.Exec{Argv: []string{"env"}, Terminal: connect.TerminalOnly},
		"stdio":    local.Exec{Argv: []string{"env"}, Terminal: connect.TerminalStdio},
		"shell":    local.Exec{Argv: []string{"sh", "-c"}, Shell: true},
	}
}

// All 256 bytes pass in both directions, in any order, and much of them.
func TestPayloadIsBinaryClean(t *testing.T) {
	for name, m := range everyWay() {
		t.Run(name, func(t *testing.T) {
			connecttest.CheckLeaks(t)
			p := connecttest.Far(`echo go; exec cat`)
			c := connecttest.Open(t, m, p)
			head := make([]byte, 3)
			if _, err := io.ReadFull(c, head); err != nil || string(head) != "go\n" {
				t.Fatalf("the far side prints %q (error: %v), want go", head, err)
			}
			if _, err := c.Write([]byte("\n")); err != nil && name != "only tty" {
				t.Fatal(err)
			}
			close(p.Ready)
			block := make([]byte, 64<<10)
			for i := range block {
				block[i] = byte(i + i>>8)
			}
			const blocks = 64
			sum := sha256.New()
			var wg sync.WaitGroup
			wg.Go(func() {
				for range blocks {
					if _, err := c.Write(block); err != nil {
						t.Error(err)
						return
					}
				}
			})
			want := sha256.New()
			skip := int64(1) // the newline comes back
			if name == "only tty" {
				skip = 0
			}
			io.CopyN(io.Discard, c, skip)
			if n, err := io.CopyN(sum, c, blocks*int64(len(block))); err != nil {
				t.Errorf("%d bytes, then %v", n, err)
			}
			wg.Wait()
			for range blocks {
				want.Write(block)
			}
			if !bytes.Equal(sum.Sum(nil), want.Sum(nil)) {
				t.Error("other bytes came back")
			}
		})
	}
}

func TestCloseEndsWhateverTheToolDoes(t *testing.T) {
	for name, script := range map[string]string{
		"reads":            `cat`,
		"sleeps":           `sleep 1000`,
		"ignores signals":  `trap "" HUP TERM INT; while :; do sleep 1000; done`,
		"stopped":          `kill -STOP $$`,
		"has children":     `sleep 1000 & sleep 1000 & wait`,
		"children ignore":  `(trap "" HUP TERM; sleep 1000) & wait`,
		"writes for ever":  `while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done`,
		"floods the log":   `while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy >&2; done`,
		"floods the tty":   `while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy >/dev/tty; done`,
		"leader gone":      `sleep 1000 & exit 0`,
		"closed its pipes": `exec <&- >&- 2>&-; sleep 1000`,
	} {
		for _, ready := range []bool{false, true} {
			for _, terminal := range []connect.Terminal{connect.TerminalBeside, connect.TerminalNone, connect.TerminalOnly} {
				t.Run(fmt.Sprintf("%s/ready=%v/%v", name, ready, terminal), func(t *testing.T) {
					t.Parallel()
					p := connecttest.Far(script)
					c, err := local.Exec{Argv: []string{"env"}, Terminal: terminal}.Open(connecttest.TestContext(t), p.OpenRequest)
					if err != nil {
						t.Fatal(err)
					}
					process := connecttest.ProcessID(c)
					if ready {
						close(p.Ready)
					}
					reading := make(chan struct{})
					go func() {
						defer close(reading)
						io.Copy(io.Discard, io.LimitReader(c, 1<<20))
					}()
					// Most tools do by then as they are told. Nothing shows it, and Close
					// has to end those that don't yet as well.
					time.Sleep(30 * time.Millisecond)
					connecttest.CloseInTime(t, c)
					connecttest.CloseInTime(t, c)
					<-reading
					connecttest.GroupEnds(t, process)
				})
			}
		}
	}
}

func TestCloseUnblocksWrite(t *testing.T) {
	for name, m := range everyWay() {
		t.Run(name, func(t *testing.T) {
			connecttest.CheckLeaks(t)
			p := connecttest.Far(`sleep 1000`)
			close(p.Ready)
			c := connecttest.Open(t, m, p)
			done := make(chan error)
			go func() {
				var err error
				for err == nil {
					_, err = c.Write(make([]byte, 1<<20))
				}
				done <- err
			}()
			// The pipe is full by then and the write waits. Nothing shows it; a write
			// that begins later has to fail as well.
			time.Sleep(20 * time.Millisecond)
			connecttest.CloseInTime(t, c)
			<-done
		})
	}
}

func TestWhatTheToolSaidIsInTheError(t *testing.T) {
	for name, m := range everyWay() {
		t.Run(name, func(t *testing.T) {
			connecttest.CheckLeaks(t)
			p := connecttest.Far(`echo "the sky is falling" >&2; exit 7`)
			c := connecttest.Open(t, m, p)
			connecttest.ReadAll(t, c)
			err := connecttest.Cause(t, c)
			var e *connect.Error
			if !errors.As(err, &e) || !errors.Is(err, connect.ErrEOF) || !strings.Contains(err.Error(), "the sky is falling") ||
				!strings.Contains(err.Error(), "exit status 7") || !strings.HasPrefix(err.Error(), m.Label()) {
				t.Errorf("cause: %v", err)
			}
		})
	}
}

// The error has all that the tool said, and of what a person typed nothing.
func TestAnswersInTheErrorOfATool(t *testing.T) {
	for name, c := range map[string]struct{ script, answer, want, not string }{
		"hidden":               {`stty -echo; printf "PIN: "; read x; stty echo; echo; echo "1 of 10 tries is over: $x"`, "1", "1 of 10 tries is over: 1", "***"},
		"hidden and said back": {`stty -echo; printf "PIN: "; read x; stty echo; echo; echo $x; echo "$x is wrong"`, "4711", "*** / *** is wrong", "4711"},
		"shown":                {`printf "Option: "; read x; echo "no such option"`, "2", "Option: / no such option", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			connecttest.CheckLeaks(t)
			p := connecttest.Far(`exit 3`)
			p.Prompt = (&connecttest.Person{Answers: []string{c.answer}}).Answer
			tool := local.Exec{Argv: []string{"sh", "-c", "exec 3>&1 <>/dev/tty >&0 2>&0; " + c.script + "; exit 3"}}
			ch := connecttest.Open(t, tool, p)
			connecttest.ReadAll(t, ch)
			var e *connect.Error
			if err := connecttest.Cause(t, ch); !errors.As(err, &e) || !strings.Contains(e.Output, c.want) || strings.Contains(e.Output, c.not) {
				t.Errorf("the cause is %v, want %q and not %q in what the tool said", err, c.want, c.not)
			}
		})
	}
}

func TestStandardErrorGoesToTheLog(t *testing.T) {
	p := connecttest.Far(`echo started >&2; echo go; read x; echo later >&2`)
	c := connecttest.Open(t, local.Exec{Argv: []string{"env"}}, p)
	c.Read(make([]byte, 100))
	close(p.Ready)
	c.Write([]byte("\n"))
	connecttest.ReadAll(t, c)
	connecttest.Cause(t, c)
	if log := p.Logged(); !strings.Contains(log, "started") || !strings.Contains(log, "later") {
		t.Errorf("log: %s", log)
	}
}

func TestAnEndAfterTheStartIsNotExplainedByTheTool(t *testing.T) {
	p := connecttest.Far(`echo go; read x; exit 1`)
	c := connecttest.Open(t, become.Sudo{Path: connecttest.StubAs(t, "noask")}, p)
	c.Read(make([]byte, 100))
	close(p.Ready)
	time.Sleep(10 * time.Millisecond) // the hop takes notice of it, which nothing shows
	c.Write([]byte("\n"))
	connecttest.ReadAll(t, c)
	if err := connecttest.Cause(t, c); !errors.Is(err, connect.ErrEOF) || errors.Is(err, connect.ErrPermission) {
		t.Errorf("cause: %v", err)
	}
}

func TestNobodyWaitsForAToolThatLeftSomethingBehind(t *testing.T) {
	connecttest.CheckLeaks(t)
	p := connecttest.Far(`setsid sleep 4 & sleep 0.1; exit 1`) // holds all three open, and is in no group of ours
	c := connecttest.Open(t, local.Exec{Argv: []string{"env"}}, p)
	start := time.Now()
	connecttest.ReadAll(t, c)
	if err := connecttest.Cause(t, c); !errors.Is(err, connect.ErrEOF) {
		t.Errorf("cause: %v", err)
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("it took %v", d)
	}
}

func TestToolsThatCannotBeStarted(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "text"), []byte("hello"), 0o755)
	os.WriteFile(filepath.Join(dir, "plain"), []byte("#!/bin/sh\n"), 0o644)
	for _, m := range []connect.Method{
		local.Exec{}, local.Exec{Argv: []string{""}}, local.Exec{Argv: []string{"no-such-program-x"}},
		local.Exec{Argv: []string{filepath.Join(dir, "text")}}, local.Exec{Argv: []string{filepath.Join(dir, "plain")}},
		local.Exec{Argv: []string{dir}}, become.Sudo{Path: "/no/such/sudo"},
	} {
		connecttest.CheckLeaks(t)
		c, err := m.Open(connecttest.TestContext(t), connecttest.Far(`true`).OpenRequest)
		if !errors.Is(err, connect.ErrStart) {
			t.Errorf("%#v: opened as %v, error %v; want %q", m, c, err, connect.ErrStart)
		}
	}
	if _, err := (local.Exec{Argv: []string{"no-such-program-x"}}).Open(t.Context(), connecttest.Far("").OpenRequest); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("not found: %v", err)
	}
}

func TestPlacesForTheFirstStage(t *testing.T) {
	for name, m := range map[string]local.Exec{
		"appended":    {Argv: []string{"env", "A=1"}},
		"argv":        {Argv: []string{"sh", "-c", `"$@"`, "x", local.PlaceArgv}},
		"line":        {Argv: []string{"sh", "-c", "A=1 && " + local.PlaceLine}},
		"shell":       {Argv: []string{"bash", "-c"}, Shell: true},
		"environment": {Argv: []string{"env"}, Env: []string{"B=2"}},
	} {
		c := connecttest.Open(t, m, connecttest.Far(`echo done $B`))
		want := "done\n"
		if name == "environment" {
			want = "done 2\n"
		}
		if got := connecttest.ReadAll(t, c); got != want {
			t.Errorf("%s: the far side prints %q, want %q", name, got, want)
		}
	}
	for _, bad := range []local.Exec{
		{Argv: []string{"env", "a\x00b"}}, {Argv: []string{"env"}, Env: []string{"x"}}, {Argv: []string{"env"}, Env: []string{"=x"}},
	} {
		if _, err := bad.Open(t.Context(), connecttest.Far("").OpenRequest); !errors.Is(err, connect.ErrBadName) {
			t.Errorf("%q: error %v, want %q", bad.Argv, err, connect.ErrBadName)
		}
	}
}

// What a tool has open, and whose session it is in.
func TestWhatAToolFinds(t *testing.T) {
	const look = `ps -o sid= -p $$ | tr -d " "; echo $$; readlink /proc/$$/fd/0 | cut -d: -f1; tty </dev/tty; head -c0 /dev/stdin && echo reopened`
	c := connecttest.Open(t, local.Exec{Argv: []string{"env"}}, connecttest.Far(look))
	got := strings.Fields(connecttest.ReadAll(t, c))
	if len(got) != 5 || got[0] != got[1] || got[2] != "pipe" || !strings.HasPrefix(got[3], "/dev/") || got[4] != "reopened" {
		t.Errorf("with a terminal: %q, %v", got, connecttest.Cause(t, c))
	}
	c = connecttest.Open(t, local.Child{}, connecttest.Far(`ls -m /proc/$$/fd; (exec </dev/tty) 2>/dev/null || echo none`))
	if got := connecttest.ReadAll(t, c); strings.Contains(got, " 3,") || !strings.Contains(got, "none") {
		t.Errorf("without: %q", got)
	}
}

// The death of the thread that asked for a start does not end the tool, ours
// does.
func TestToolsDieWithUs(t *testing.T) {
	c := connecttest.Open(t, local.Child{}, connecttest.Far(`echo $$; while :; do sleep 1; done`))
	b := make([]byte, 100)
	n, _ := c.Read(b)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { exec.Command("true").Run() })
	}
	wg.Wait()
	if syscall.Kill(pid, 0) != nil {
		t.Error("the tool died early")
	}
}

func TestManyAtOnce(t *testing.T) {
	connecttest.CheckLeaks(t)
	var wg sync.WaitGroup
	for range 60 {
		wg.Go(func() {
			c, err := local.Exec{Argv: []string{"env"}}.Open(t.Context(), connecttest.Far(`echo $((6*7))`).OpenRequest)
			if err != nil {
				t.Error(err)
				return
			}
			if b, _ := io.ReadAll(c); string(b) != "42\n" {
				t.Errorf("the far side prints %q, want 42", b)
			}
			c.Close()
		})
	}
	wg.Wait()
}
