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

// Require ends the test unless hosts can be made here. On somebody's own machine
// that is a skip; where the environment says CI=true it is a failure, because a
// test that silently never runs there proves nothing.
func Require(t testing.TB) {
	t.Helper()
	if reason := unavailable(); reason != "" {
		if os.Getenv("CI") == "true" {
			t.Fatalf("lab: no hosts on this machine: %s", reason)
		}
		t.Skipf("lab: no hosts on this machine: %s", reason)
	}
}

// unavailable says why no hosts can be made, or "".
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
