//go:build linux

package bootstrap

import (
	"bytes"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// ends waits for a process of the far side to end by itself, and returns the time of the
// processor that it and its children have used.
func ends(t *testing.T, cmd *exec.Cmd, why string) time.Duration {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if f, ok := cmd.Stdin.(*os.File); ok {
		f.Close()
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
		t.Errorf("%s: the far side did not end", why)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// Whatever becomes of the input of the first stage, its loop ends with it, in every
// shell.
func TestEveryLoopEnds(t *testing.T) {
	for _, shell := range systemShells {
		for _, why := range []string{"end of file", "closed", "a directory", "hung up"} {
			t.Run(strings.Join(shell, " ")+" "+why, func(t *testing.T) {
				t.Parallel()
				l := NewLaunch(opts())
				script := l.script()
				cmd := asSystemShell(t, shell, script)
				switch why {
				case "closed":
					cmd = asSystemShell(t, shell, "exec <&-;"+script)
				case "a directory":
					dir, err := os.Open(t.TempDir())
					if err != nil {
						t.Fatal(err)
					}
					cmd.Stdin = dir
				case "hung up":
					master, slave := openTerminal(t)
					cmd.Stdin = slave
					master.Close()
				}
				if used := ends(t, cmd, why); used > 5*time.Second {
					t.Errorf("the first stage used %v of a processor", used)
				}
			})
		}
	}
}

// openTerminal opens a terminal of the machine's own.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// An image that is cut short ends each start method, in every shell.
func TestEveryStartMethodEndsWithItsInput(t *testing.T) {
	img, err := image.Own()
	if err != nil {
		t.Fatal(err)
	}
	packed, err := img.Encoded(t.Context(), image.Gzip, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, shell := range systemShells {
		for _, method := range startMethods {
			if testing.Short() && method != StartPerl && method != StartRAM {
				continue
			}
			t.Run(strings.Join(shell, " ")+" "+method, func(t *testing.T) {
				t.Parallel()
				if method == StartTmpfs {
					needRoot(t)
				}
				l := NewLaunch(opts())
				p := &plan{
					marker: l.marker, loop: l.loop(), args: l.childArgs(hex.EncodeToString(img.Hash[:])), goarch: img.GOARCH,
					facts: &Facts{Kernel: "Linux", Machine: "x86_64", Tools: []string{"head", "gzip", "tee", "sha256sum"}, Dirs: []string{"/dev/shm"}},
					hash:  hex.EncodeToString(img.Hash[:]), codec: image.Gzip, size: len(packed),
				}
				cmd := asSystemShell(t, shell, l.script())
				cmd.Stdin = io.MultiReader(strings.NewReader(p.line([]string{method})+"\n"), bytes.NewReader(packed[:len(packed)/2]))
				var said bytes.Buffer
				cmd.Stdout = &said
				if used := ends(t, cmd, method); used > 10*time.Second {
					t.Errorf("%v of a processor were used", used)
				}
				if strings.Contains(said.String(), " go\n") {
					t.Errorf("half an image was executed: %q", said.String())
				}
			})
		}
	}
}
