//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// ForeignBusybox downloads a busybox for another architecture, by Debian's name of it, and
// returns its path. The file goes with the test. The machine's own packages and architectures
// don't change.
func ForeignBusybox(t testing.TB, arch string) string {
	t.Helper()
	path, err := foreignBusybox(t.TempDir(), arch)
	if err != nil {
		const text = "lab: no busybox for %s: %v"
		if os.Getenv("CI") == "true" {
			t.Fatalf(text, arch, err)
		}
		t.Skipf(text, arch, err)
	}
	return path
}

func foreignBusybox(temp, arch string) (string, error) {
	// With lists of its own, apt works as on a machine of the other architecture.
	apt := []string{
		"-qq", "-o", "APT::Architecture=" + arch, "-o", "APT::Architectures=" + arch,
		"-o", "Dir::State::lists=" + temp + "/lists", "-o", "Dir::Cache=" + temp + "/cache", "-o", "APT::Sandbox::User=root",
	}
	for _, argv := range [][]string{
		{"mkdir", "-p", temp + "/lists/partial", temp + "/cache"},
		append([]string{"apt-get", "update"}, apt...),
		append([]string{"apt-get", "download", "busybox-static"}, apt...),
		{"sh", "-c", `dpkg-deb -x busybox-static_*.deb tree && mv "$(find tree -path "*/bin/busybox")" busybox`},
	} {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir = temp
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s %s: %w: %s", argv[0], argv[1], err, out)
		}
	}
	return temp + "/busybox", nil
}
