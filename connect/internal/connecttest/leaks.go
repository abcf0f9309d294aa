//go:build unix

package connecttest

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// TestContext ends with the test, and after two minutes at the latest.
func TestContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// CheckLeaks fails the test if goroutines or descriptors are left when everything is closed. It
// is called first, so that it runs after the cleanups that come later.
func CheckLeaks(t *testing.T) {
	t.Helper()
	tool.Starter() // the thread that starts tools stays
	ClosedPort(t)  // the runtime's own descriptors for polling stay as well
	known := goleak.IgnoreCurrent()
	before := descriptors()
	t.Cleanup(func() {
		goleak.VerifyNone(t, known)
		if after := descriptors(); len(after) > len(before) {
			t.Errorf("descriptors before %v, after %v", before, after)
		}
	})
}

func descriptors() (open []string) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		if name, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil {
			open = append(open, name)
		}
	}
	return open
}

// WriteFile writes a file and returns its path.
func WriteFile(t testing.TB, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// ClosedPort is a port of loopback at which nobody listens.
func ClosedPort(t testing.TB) int {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}
