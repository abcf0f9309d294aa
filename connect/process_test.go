//go:build linux

package connect

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// place is what a method is opened with in a test.
type place struct {
	*Env
	ready chan struct{}
	mu    sync.Mutex
	log   bytes.Buffer
}

// far makes an Env whose first stage is a script.
func far(script string) *place {
	p := &place{ready: make(chan struct{})}
	p.Env = &Env{
		Line: "exec /bin/sh -c '" + script + "'", Argv: []string{"/bin/sh", "-c", script},
		Exec: "/bin/sh", ExecArgv: []string{"sh", "-c", script},
		Ready: p.ready, Log: slog.New(slog.NewTextHandler(p, nil)),
	}
	return p
}

func (p *place) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *place) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// open opens a method, and closes it at the end of the test, or where that
// does not come in time.
func open(t *testing.T, m Method, p *place) bootstrap.Carrier {
	t.Helper()
	ctx := testContext(t)
	c, err := m.Open(ctx, p.Env)
	if err != nil {
		t.Fatal(err)
	}
	context.AfterFunc(ctx, func() { c.Close() })
	t.Cleanup(func() { closeInTime(t, c) })
	return c
}

func closeInTime(t *testing.T, c bootstrap.Carrier) {
	t.Helper()
	start := time.Now()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("closing took %v", d)
	}
}

// readAll reads to the end; a tool that was ended shows as an error of the
// pipe.
func readAll(t *testing.T, c bootstrap.Carrier) string {
	t.Helper()
	b, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	return string(b)
}

// cause is why a carrier ended.
func cause(t *testing.T, c bootstrap.Carrier) error {
	t.Helper()
	return c.Cause(testContext(t))
}

// everyWay is each method of this file's kind that runs a script.
func everyWay() map[string]Method {
	return map[string]Method{
		"local":    Local{},
		"command":  Command{Argv: []string{"env"}},
		"no tty":   Command{Argv: []string{"env"}, Terminal: TerminalNone},
		"only tty": Command{Argv: []string{"env"}, Terminal: TerminalOnly},
		"stdio":    Command{Argv: []string{"env"}, Terminal: TerminalStdio},
		"shell":    Command{Argv: []string{"sh", "-c"}, Shell: true},
	}
}

// All 256 bytes pass in both directions, in any order, and much of them.
func TestPayloadIsBinaryClean(t *testing.T) {
	for name, m := range everyWay() {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			p := far(`echo go; exec cat`)
			c := open(t, m, p)
			head := make([]byte, 3)
			if _, err := io.ReadFull(c, head); err != nil || string(head) != "go\n" {
				t.Fatalf("%q, %v", head, err)
			}
			if _, err := c.Write([]byte("\n")); err != nil && name != "only tty" {
				t.Fatal(err)
			}
			close(p.ready)
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
			for _, terminal := range []Terminal{TerminalBeside, TerminalNone, TerminalOnly} {
				t.Run(fmt.Sprintf("%s/ready=%v/%v", name, ready, terminal), func(t *testing.T) {
					t.Parallel()
					p := far(script)
					c, err := Command{Argv: []string{"env"}, Terminal: terminal}.Open(testContext(t), p.Env)
					if err != nil {
						t.Fatal(err)
					}
					pid := c.(*process).cmd.Process.Pid
					if ready {
						close(p.ready)
					}
					reading := make(chan struct{})
					go func() {
						defer close(reading)
						io.Copy(io.Discard, io.LimitReader(c, 1<<20))
					}()
					time.Sleep(30 * time.Millisecond)
					closeInTime(t, c)
					closeInTime(t, c)
					<-reading
					for range 50 {
						if !groupLives(pid) {
							return
						}
						time.Sleep(10 * time.Millisecond)
					}
					t.Error("a process is left")
				})
			}
		}
	}
}

// groupLives looks for processes of a group that are more than a zombie that
// init has not buried yet.
func groupLives(group int) bool {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, _ := os.ReadFile(path)
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(fields) > 2 && fields[2] == strconv.Itoa(group) && fields[0] != "Z" && fields[0] != "X" {
			return true
		}
	}
	return false
}

func TestCloseUnblocksWrite(t *testing.T) {
	for name, m := range everyWay() {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			p := far(`sleep 1000`)
			close(p.ready)
			c := open(t, m, p)
			done := make(chan error)
			go func() {
				var err error
				for err == nil {
					_, err = c.Write(make([]byte, 1<<20))
				}
				done <- err
			}()
			time.Sleep(20 * time.Millisecond)
			closeInTime(t, c)
			<-done
		})
	}
}

func TestWhatTheToolSaidIsInTheError(t *testing.T) {
	for name, m := range everyWay() {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			p := far(`echo "the sky is falling" >&2; exit 7`)
			c := open(t, m, p)
			readAll(t, c)
			err := cause(t, c)
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, ErrEOF) || !strings.Contains(err.Error(), "the sky is falling") ||
				!strings.Contains(err.Error(), "exit status 7") || !strings.HasPrefix(err.Error(), m.Label()) {
				t.Errorf("cause: %v", err)
			}
		})
	}
}

func TestStandardErrorGoesToTheLog(t *testing.T) {
	p := far(`echo started >&2; echo go; read x; echo later >&2`)
	c := open(t, Command{Argv: []string{"env"}}, p)
	c.Read(make([]byte, 100))
	close(p.ready)
	c.Write([]byte("\n"))
	readAll(t, c)
	cause(t, c)
	if log := p.logged(); !strings.Contains(log, "started") || !strings.Contains(log, "later") {
		t.Errorf("log: %s", log)
	}
}

func TestAnEndAfterTheStartIsNotExplainedByTheTool(t *testing.T) {
	p := far(`echo go; read x; exit 1`)
	c := open(t, Sudo{Path: stubAs(t, "noask")}, p)
	c.Read(make([]byte, 100))
	close(p.ready)
	time.Sleep(10 * time.Millisecond)
	c.Write([]byte("\n"))
	readAll(t, c)
	if err := cause(t, c); !errors.Is(err, ErrEOF) || errors.Is(err, ErrPermission) {
		t.Errorf("cause: %v", err)
	}
}

func TestNobodyWaitsForAToolThatLeftSomethingBehind(t *testing.T) {
	checkLeaks(t)
	p := far(`setsid sleep 4 & sleep 0.1; exit 1`) // holds all three open, and is in no group of ours
	c := open(t, Command{Argv: []string{"env"}}, p)
	start := time.Now()
	readAll(t, c)
	if err := cause(t, c); !errors.Is(err, ErrEOF) {
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
	for _, m := range []Method{
		Command{}, Command{Argv: []string{""}}, Command{Argv: []string{"no-such-program-x"}},
		Command{Argv: []string{filepath.Join(dir, "text")}}, Command{Argv: []string{filepath.Join(dir, "plain")}},
		Command{Argv: []string{dir}}, Sudo{Path: "/no/such/sudo"}, OpenSSH{Host: "x", Path: "/no/such/ssh"},
	} {
		checkLeaks(t)
		c, err := m.Open(testContext(t), far(`true`).Env)
		if !errors.Is(err, ErrStart) {
			t.Errorf("%#v: %v, %v", m, c, err)
		}
	}
	if _, err := (Command{Argv: []string{"no-such-program-x"}}).Open(t.Context(), far("").Env); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("not found: %v", err)
	}
	if len(handshakes.queue) != 0 {
		t.Error("a turn was kept")
	}
}

func TestPlacesForTheFirstStage(t *testing.T) {
	for name, m := range map[string]Command{
		"appended":    {Argv: []string{"env", "A=1"}},
		"argv":        {Argv: []string{"sh", "-c", `"$@"`, "x", PlaceArgv}},
		"line":        {Argv: []string{"sh", "-c", "A=1 && " + PlaceLine}},
		"shell":       {Argv: []string{"bash", "-c"}, Shell: true},
		"environment": {Argv: []string{"env"}, Env: []string{"B=2"}},
	} {
		c := open(t, m, far(`echo done $B`))
		want := "done\n"
		if name == "environment" {
			want = "done 2\n"
		}
		if got := readAll(t, c); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	for _, bad := range []Command{
		{Argv: []string{"env", "a\x00b"}}, {Argv: []string{"env"}, Env: []string{"x"}}, {Argv: []string{"env"}, Env: []string{"=x"}},
	} {
		if _, err := bad.Open(t.Context(), far("").Env); !errors.Is(err, ErrBadName) {
			t.Errorf("%q: %v", bad.Argv, err)
		}
	}
}

// What a tool has open, and whose session it is in.
func TestWhatAToolFinds(t *testing.T) {
	const look = `ps -o sid= -p $$ | tr -d " "; echo $$; readlink /proc/$$/fd/0 | cut -d: -f1; tty </dev/tty; head -c0 /dev/stdin && echo reopened`
	c := open(t, Command{Argv: []string{"env"}}, far(look))
	got := strings.Fields(readAll(t, c))
	if len(got) != 5 || got[0] != got[1] || got[2] != "pipe" || !strings.HasPrefix(got[3], "/dev/") || got[4] != "reopened" {
		t.Errorf("with a terminal: %q, %v", got, cause(t, c))
	}
	c = open(t, Local{}, far(`ls -m /proc/$$/fd; (exec </dev/tty) 2>/dev/null || echo none`))
	if got := readAll(t, c); strings.Contains(got, " 3,") || !strings.Contains(got, "none") {
		t.Errorf("without: %q", got)
	}
}

// The death of the thread that asked for a start does not end the tool, ours
// does.
func TestToolsDieWithUs(t *testing.T) {
	c := open(t, Local{}, far(`echo $$; while :; do sleep 1; done`))
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
	checkLeaks(t)
	var wg sync.WaitGroup
	for range 60 {
		wg.Go(func() {
			c, err := Command{Argv: []string{"env"}}.Open(t.Context(), far(`echo $((6*7))`).Env)
			if err != nil {
				t.Error(err)
				return
			}
			if b, _ := io.ReadAll(c); string(b) != "42\n" {
				t.Errorf("%q", b)
			}
			c.Close()
		})
	}
	wg.Wait()
}

// stubAs makes a program that behaves as the words say.
func stubAs(t *testing.T, words string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "stub")
	script := "#!/bin/sh\nGORACE=atexit_sleep_ms=0 " + stubEnv + "=" + words + " exec " + self + " \"$@\"\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
