//go:build unix

package fakessh

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/fakessh/internal/shim"
)

// A tool may call ssh hundreds of times: a shim does its work before most of the
// program is initialised.
func TestShimInitialisesLittle(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ssh := filepath.Join(t.TempDir(), "ssh")
	if err := os.Symlink(self, ssh); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(ssh, "host", "true")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1", shim.SocketVariable+"="+filepath.Join(t.TempDir(), "none"))
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != shim.ExitFailed || !strings.Contains(string(out), shim.EndedText) {
		t.Fatalf("want status %d and %q, got %v:\n%s", shim.ExitFailed, shim.EndedText, err, out)
	}
	if !strings.Contains(string(out), "init runtime ") {
		t.Fatalf("no trace of the initialisation:\n%s", out)
	}
	for _, name := range []string{"mitosis/contexts", "mitosis/fakessh", "golang.org/x/crypto/ssh"} {
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "init ") && strings.Contains(line, name+" @") {
				t.Errorf("the shim initialises %s: %s", name, line)
			}
		}
	}
}
