package contexts

import (
	"os"
	"strings"
)

// bootID is another one each time the system starts; see random(4).
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
