//go:build unix

package bootstrap

import (
	"os"
	"strconv"
	"syscall"
)

// executableID tells the executable of a process from all others on this host.
func executableID(pid int) (dev, ino uint64, ok bool) {
	fi, err := os.Stat("/proc/" + strconv.Itoa(pid) + "/exe")
	if err != nil {
		return 0, 0, false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return uint64(st.Dev), uint64(st.Ino), true
}
