//go:build linux

package exitprogram

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// writeExit writes the program for an architecture into a file, and returns its path.
func writeExit(t *testing.T, goarch string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "exit-"+goarch)
	syscall.ForkLock.RLock() // a child of another test must not inherit the file open for writing
	err := os.WriteFile(path, For(goarch), 0o700)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// The program for an architecture ends with status 0, here and in the emulators of the others.
func TestExitProgramRuns(t *testing.T) {
	if out, err := exec.Command(writeExit(t, runtime.GOARCH)).CombinedOutput(); err != nil {
		t.Errorf("the program for this machine's architecture: %v, output %q, want status 0", err, out)
	}
	for goarch, emulator := range map[string]string{
		"amd64": "qemu-x86_64-static", "386": "qemu-i386-static", "arm64": "qemu-aarch64-static",
		"arm": "qemu-arm-static", "riscv64": "qemu-riscv64-static",
	} {
		t.Run(goarch, func(t *testing.T) {
			path, err := exec.LookPath(emulator)
			if err != nil {
				t.Skip(err)
			}
			if out, err := exec.Command(path, writeExit(t, goarch)).CombinedOutput(); err != nil {
				t.Errorf("the program in %s: %v, output %q, want status 0", emulator, err, out)
			}
		})
	}
}
