//go:build linux

package console

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
)

// shells are what may stand at the other end of a line.
var shells = map[string][]string{
	"sh":       {"sh", "-i"},
	"bash":     {"bash", "-i"},
	"no-edit":  {"bash", "--noediting", "-i"},
	"ash":      {"busybox", "ash", "-i"},
	"zsh":      {"zsh", "-f", "-i"},
	"tcsh":     {"tcsh", "-f", "-i"},
	"fish":     {"fish", "-N", "-i"},
	"deaf":     {"sh", "-c", "stty -echo; exec sh -i"},
	"left raw": {"sh", "-c", "stty raw -echo; exec sh -i"},
	"profile":  {"sh", "-c", `echo "Press any key"; read x; printf "TERM = (vt100)? "; read x; exec sh -i`},
}

// TestConsoleUsesAShellAndLeavesIt: whatever the shell, all bytes pass, the end is
// seen, and the shell has its terminal back.
func TestConsoleUsesAShellAndLeavesIt(t *testing.T) {
	for name, argv := range shells {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(argv[0]); err != nil {
				t.Skip(err)
			}
			f := newFarConsole(t, name == "zsh" || name == "sh", argv...)
			for range 2 {
				c := connecttest.Open(t, f.console, connecttest.Far(`echo go; head -c 256; echo oops >&2; exit 3`))
				readUntil(t, c, "go\n")
				all := make([]byte, 256)
				for i := range all {
					all[i] = byte(i)
				}
				if _, err := c.Write(all); err != nil {
					t.Fatal(err)
				}
				if got := connecttest.ReadAll(t, c); got != string(all) {
					t.Errorf("came back: %q", got)
				}
				err := connecttest.Cause(t, c)
				if e, ok := errors.AsType[*connect.Error](err); !ok || !errors.Is(err, connect.ErrEOF) || e.Output != "oops" || !strings.Contains(err.Error(), "status 3") {
					t.Errorf("the cause is %v, want %q with status 3 and the output oops", err, connect.ErrEOF)
				}
				if _, err := c.Write([]byte("for nobody")); err == nil {
					t.Error("something was typed at the shell")
				}
				connecttest.CloseInTime(t, c)
			}
			if n := f.sessions.Load(); n != 1 {
				t.Errorf("%d sessions", n)
			}
			if name == "deaf" || name == "left raw" {
				return
			}
			out, err := exec.Command("stty", "-F", f.tty, "-a").Output()
			if !slices.Contains(strings.Fields(string(out)), "opost") { // off in a pipe, on in any line editor
				t.Errorf("stty: %s (error: %v), want the settings of before, with opost", out, err)
			}
		})
	}
}

// readUntil reads the line up to a text.
func readUntil(t *testing.T, r io.Reader, text string) {
	t.Helper()
	var seen []byte
	for b := make([]byte, 1); !strings.HasSuffix(string(seen), text); seen = append(seen, b...) {
		if _, err := io.ReadFull(r, b); err != nil {
			t.Fatalf("%v behind %q", err, seen)
		}
	}
}

// TestConsoleEndsAFirstStageThatWaits: as one does after a probe.
func TestConsoleEndsAFirstStageThatWaits(t *testing.T) {
	f := newFarConsole(t, false, "sh", "-i")
	p := connecttest.Far(`echo go; while read -r p; do echo "read $p"; done`)
	c := connecttest.Open(t, f.console, p)
	readUntil(t, c, "go\n")
	begin := time.Now()
	connecttest.CloseInTime(t, c)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("closing took %v, want at most 10 s", took)
	}
	c = connecttest.Open(t, f.console, connecttest.Far(`echo again`))
	readUntil(t, c, "again\n")
}

// TestConsoleKeepsAFirstStageWaiting: it gives up when the line is silent, but
// not while somebody packs an image.
func TestConsoleKeepsAFirstStageWaiting(t *testing.T) {
	t.Parallel()
	f := newFarConsole(t, false, "sh", "-i")
	script := `echo go; while read -r p; do [ "$p" ] && echo "read $p"; done; echo silence`
	p := connecttest.Far(script)
	c := connecttest.Open(t, f.console, p)
	readUntil(t, c, "go\n")
	close(p.Ready)
	time.Sleep(keepAlive * 9 / 2) // by its own clock, longer than the silence that ends it
	if _, err := c.Write([]byte("this\n")); err != nil {
		t.Fatal(err)
	}
	readUntil(t, c, "read this\n")
	connecttest.CloseInTime(t, c)
	readUntil(t, connecttest.Open(t, f.console, connecttest.Far(script)), "go\nsilence\n") // nobody is ready here
}

// fakeGetty asks as getty and login do, for somebody named root with the password secret.
const fakeGetty = `printf "\r\nDebian 12 host ttyS0\r\n\r\nhost login: "; read n
stty -echo; printf "Password: "; read p; stty echo; echo
[ "$n,$p" = root,secret ] && { echo "Last login: today"; exec sh -i; }
echo; echo "Login incorrect"`

func TestConsoleLogsOut(t *testing.T) {
	f := newFarConsole(t, true, "sh", "-c", fakeGetty)
	f.console.Password = "secret"
	c := connecttest.Open(t, f.console, connecttest.Far(`echo go; read x`))
	readUntil(t, c, "go\n")
	connecttest.CloseInTime(t, c)
	for range 500 {
		if f.sessions.Load() == 2 && strings.HasSuffix(f.Said(), "login: ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("the line shows %q in session %d, want another question for a name in session 2", f.Said(), f.sessions.Load())
}

// TestConsoleLeavesABootLoaderAlone: with Boot nothing is typed before there is a
// prompt; without, the host would not start.
func TestConsoleLeavesABootLoaderAlone(t *testing.T) {
	f := newFarConsole(t, false, "sh", "-c", `printf "Hit any key to stop autoboot: "; stty -icanon min 0 time 10
k=$(head -c 1); stty sane; [ "$k" ] && { echo stopped; exec sleep 1000; }
echo; echo "Starting kernel"; `+fakeGetty)
	f.console.Boot, f.console.Password = true, "secret"
	readUntil(t, connecttest.Open(t, f.console, connecttest.Far(`echo go`)), "go\n")
}

// TestConsolePrompts: what the prompts of the far end are taken for.
func TestConsolePrompts(t *testing.T) {
	for _, c := range []struct {
		line, above string
		want        lineAsks
	}{
		{"host login: ", "", lineName},
		{"Username: ", "", lineName},
		{"Password: ", "host login: root", linePassword},
		{"Passwort: ", "", linePassword},
		{"(or press Control-D to continue): ", "Give root password for maintenance", lineRescue},
		{"(or press Control-D to continue): ", "the root account is locked\nPress Enter for maintenance", lineEnter},
		{"Give root password for login: ", "", lineRescue},
		{"Press Enter for login: ", "", lineEnter},
		{"Please press Enter to activate this console. ", "", lineEnter},
		{"root@host:~# ", "", lineUnknown},
		{"Last login: today", "", lineUnknown},
		{"[ OK ] Started password agent", "", lineUnknown},
		{"", "login:", lineUnknown},
	} {
		if got := consolePrompt(c.line, c.above); got != c.want {
			t.Errorf("%q below %q: %d, not %d", c.line, c.above, got, c.want)
		}
	}
}

func TestConsoleErrors(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone")
	ln, err := net.Listen("unix", gone)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	silent := newFarConsole(t, true, "sh", "-c", "stty -echo; exec sleep 1000")
	echoes := newFarConsole(t, true, "sleep", "1000")
	echoes.console.Silence = time.Second
	silent.console.Silence = time.Second
	noise := newFarConsole(t, false, "sh", "-c", `printf '\200\201\202\203\204\r\n'; stty -echo; exec sleep 1000`)
	noise.console.Silence = time.Second
	bare := newFarConsole(t, false, "sh", "-c", "PATH=/nowhere exec "+lookPath(t, "sh")+" -i")
	wrong := newFarConsole(t, false, "sh", "-c", fakeGetty)
	wrong.console.Password = "guess"
	nobody := newFarConsole(t, false, "sh", "-c", fakeGetty)
	ends := newFarConsole(t, false, "sleep", "1000")
	for name, c := range map[string]struct {
		console Login
		class   error
		phase   string
		hint    string
	}{
		"no device":   {Login{Device: "/dev/no-such-port"}, connect.ErrStart, "opening the line", ""},
		"no port":     {Login{Device: "/dev/null"}, connect.ErrStart, "opening the line", ""},
		"nobody":      {Login{Device: gone}, connect.ErrRefused, "opening the line", ""},
		"tcp":         {Login{Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(connecttest.ClosedPort(t)))}, connect.ErrRefused, "opening the line", ""},
		"silent":      {silent.console, connect.ErrTimeout, "looking for a login prompt", "cable"},
		"no shell":    {echoes.console, connect.ErrTimeout, "looking for a login prompt", ""},
		"speed":       {noise.console, connect.ErrTimeout, "looking for a login prompt", "speed"},
		"no stty":     {bare.console, connect.ErrStart, "starting the far side", ""},
		"wrong":       {wrong.console, connect.ErrPassword, "logging in", ""},
		"no password": {nobody.console, connect.ErrPasswordRequired, "logging in", ""},
		"time":        {ends.console, context.DeadlineExceeded, "looking for a login prompt", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limit := 20 * time.Second
			if name == "time" {
				limit = time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			_, err := c.console.Open(ctx, connecttest.Far("").OpenRequest)
			if e, ok := errors.AsType[*connect.Error](err); !ok || !errors.Is(err, c.class) || e.Phase != c.phase || !strings.Contains(e.Hint, c.hint) {
				t.Errorf("error %v, want %q while %s, with the hint %q", err, c.class, c.phase, c.hint)
			}
			if err != nil && strings.Contains(err.Error(), "guess") {
				t.Errorf("the password shows: %v", err)
			}
		})
	}
}

func lookPath(t *testing.T, name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestConsoleHasThePortForItself, and leaves it as it was.
func TestConsoleHasThePortForItself(t *testing.T) {
	connecttest.CheckLeaks(t)
	f := newFarConsole(t, true, "sh", "-i")
	settings := func() string {
		out, err := exec.Command("stty", "-F", f.console.Device, "-g").Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	port, err := os.OpenFile(f.console.Device, os.O_RDWR, 0) // or nothing is kept of them
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	before := settings()
	f.console.Baud = 31250 // not one of the classic ones
	c := connecttest.Open(t, f.console, connecttest.Far(`echo go; read x`))
	if during := settings(); during == before {
		t.Error("the port was not set")
	}
	if _, err := f.console.Open(connecttest.TestContext(t), connecttest.Far("").OpenRequest); !errors.Is(err, connect.ErrStart) || !strings.Contains(err.Error(), "another program") {
		t.Errorf("opened twice: error %v, want %q because of another program", err, connect.ErrStart)
	}
	connecttest.CloseInTime(t, c)
	if after := settings(); after != before {
		t.Errorf("%q before, %q after", before, after)
	}
}

// TestConsoleFarewellFillsACutFrame: a write that waits does not hold up Close.
func TestConsoleFarewellFillsACutFrame(t *testing.T) {
	connecttest.CheckLeaks(t)
	f := newFarConsole(t, false, "sh", "-i")
	c := connecttest.Open(t, f.console, connecttest.Far(`echo go; dd bs=1 count=100000 2>/dev/null | { sleep 0.5; tail -c 1 | od -An -tx1; }`))
	readUntil(t, c, "go\n")
	done := make(chan error, 1)
	go func() {
		_, err := c.Write([]byte(strings.Repeat("x", 10<<20)))
		done <- err
	}()
	for before := f.Passed(); f.Passed() == before; time.Sleep(time.Millisecond) {
		if t.Context().Err() != nil || len(done) > 0 {
			t.Fatal("nothing was written, want a write that is under way")
		}
	}
	connecttest.CloseInTime(t, c)
	if err := <-done; err == nil {
		t.Error("all was written, want a write that Close has cut short")
	}
}
