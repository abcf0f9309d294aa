//go:build linux

package bootstrap

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// noexecLibrary is what sudo preloads for noexec: a filter that refuses every exec.
const noexecLibrary = "/usr/libexec/sudo/sudo_noexec.so"

// A shell that may execute nothing says so at once, and an image that was sent ahead is
// not read byte by byte.
func TestNoProgramIsExecuted(t *testing.T) {
	if _, err := os.Stat(noexecLibrary); err != nil {
		t.Skip(err)
	}
	for name, o := range map[string]Options{
		"with facts": opts(), "with an image ahead": remembered(t, StartPerl), "with the cache": {Fingerprint: testFingerprint, Cache: true},
		"with places": {Fingerprint: testFingerprint, StartMethods: []string{StartRAM, StartDisk}},
	} {
		t.Run(name, func(t *testing.T) {
			if o.Images == nil {
				o.Images = image.OwnSource
			}
			l := NewLaunch(o)
			cmd := l.command()
			home := t.TempDir()
			cmd.Env = append(os.Environ(), "LD_PRELOAD="+noexecLibrary, "HOME="+home)
			c := start(t, cmd)
			_, err := l.Run(bound(t), c)
			if !errors.Is(err, ErrNoStartMethod) || !strings.Contains(err.Error(), "noexec in sudoers") {
				t.Errorf("error %v", err)
			}
			<-c.done
			if used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(); used > 2*time.Second {
				t.Errorf("the far side used %v of a processor", used)
			}
			for _, dir := range []string{home, "/dev/shm", "/run", "/tmp", "/var/tmp"} {
				if _, err := os.Lstat(dir + "/.mitosis-" + l.marker); err == nil {
					t.Errorf("a file is left in %s", dir)
				}
			}
		})
	}
}

// The error of a restricted login shell says that it is one.
func TestRestrictedLoginShell(t *testing.T) {
	for _, shell := range []string{"rbash", "rksh93", "rmksh"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Skip(err)
		}
		l := NewLaunch(opts())
		_, err = l.Run(bound(t), start(t, exec.Command(path, "-c", l.Line())))
		if err == nil || !strings.Contains(err.Error(), restrictedHint) {
			t.Errorf("%s: %v, want %q in it", shell, err, restrictedHint)
		}
	}
}
