//go:build unix

package bootstrap

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/mitosis-go/mitosis/bootstrap/internal/guard"
)

// executableOf returns the path by which other processes of this host open and execute the
// executable of a process; 0 is this process.
func executableOf(pid int) string {
	if pid <= 0 {
		pid = os.Getpid()
		// Where an emulator runs this program, exe is the emulator.
		if path, err := guard.SelfPath(); err == nil && strings.HasPrefix(path, "/proc/"+strconv.Itoa(pid)+"/") {
			return path
		}
	}
	return "/proc/" + strconv.Itoa(pid) + "/exe"
}

// fileID identifies a file on this host.
func fileID(path string) (dev, ino uint64, ok bool) {
	fi, err := os.Stat(path)
	if err != nil {
		return 0, 0, false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return uint64(st.Dev), uint64(st.Ino), true
}
