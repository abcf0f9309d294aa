//go:build linux

package lab_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// shell runs a script that must succeed and returns its trimmed output.
func shell(t *testing.T, h *lab.Running, script string) string {
	t.Helper()
	out, err := h.Shell(script)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// eventually waits until ok reports true. It fails after 20 seconds, which is far above the
// time that a working host needs. what is the condition, for the failure text.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 20 s it is not true that %s", what)
		}
	}
}
