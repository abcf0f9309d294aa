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

// eventually waits for something that another process does, and fails after a
// time that only a broken one needs.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long: %s", what)
		}
	}
}
