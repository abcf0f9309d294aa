package tree

import (
	"os"
	"strings"
)

// BootID returns a text that changes each time the system starts; see random(4).
func BootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// SharesImage reports whether a process of the given user on this host may execute our
// image through /proc/PID/exe. The kernel allows that to the same user and to root.
func SharesImage(user string) bool { return user == "" || user == "root" }
