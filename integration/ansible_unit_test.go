//go:build linux

package integration

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The parts of the plugin that need no Ansible have tests of their own.
func TestAnsibleCollection(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), python, "-B", "-m", "unittest", "discover", "-s", "tests/unit")
	cmd.Dir = filepath.FromSlash("../ansible")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the tests ended with %v:\n%s", err, out)
	}
	ran := 0
	for line := range strings.Lines(string(out)) {
		_, _ = fmt.Sscanf(line, "Ran %d tests", &ran)
	}
	if ran < 15 {
		t.Errorf("%d tests ran, want all:\n%s", ran, out)
	}
}
