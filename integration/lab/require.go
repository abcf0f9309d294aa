//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Require ends the test unless hosts can be made here. On a developer's machine the test is
// skipped. Where the environment has CI=true it fails: a test that never runs there proves
// nothing.
func Require(t testing.TB) {
	t.Helper()
	if reason := unavailable(); reason != "" {
		if os.Getenv("CI") == "true" {
			t.Fatalf("lab: no hosts on this machine: %s", reason)
		}
		t.Skipf("lab: no hosts on this machine: %s", reason)
	}
}

// unavailable returns the reason for which no hosts can be made, "" if they can.
var unavailable = sync.OnceValue(func() string {
	if os.Geteuid() != 0 {
		return "root is needed to make namespaces and mounts (try sudo -E go test)"
	}
	if missing := MissingPackages(); len(missing) > 0 {
		return "missing packages: apt-get install " + strings.Join(missing, " ")
	}
	probe := exec.Command("/bin/true")
	probe.SysProcAttr = &syscall.SysProcAttr{Cloneflags: hostNamespaces}
	if err := probe.Run(); err != nil {
		return fmt.Sprintf("the kernel refuses new namespaces: %v", err)
	}
	return ""
})

// RequireProgram skips the test unless the program is installed. It is for programs
// that Packages doesn't list.
func RequireProgram(t testing.TB, name string) {
	t.Helper()
	if findTool(name) == "" {
		t.Skipf("lab: %s is not installed", name)
	}
}
