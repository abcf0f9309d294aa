package fakessh

import (
	"fmt"
	"os"
)

// selfPath is the path of this program: its name where that still is this
// program, and else, as in memory, one that is good for as long as it runs.
func selfPath() string {
	const exe = "/proc/self/exe"
	path, err := os.Readlink(exe)
	if err == nil {
		named, namedErr := os.Stat(path)
		own, ownErr := os.Stat(exe)
		if namedErr == nil && ownErr == nil && os.SameFile(named, own) {
			return path
		}
	}
	return fmt.Sprintf("/proc/%d/exe", os.Getpid())
}
