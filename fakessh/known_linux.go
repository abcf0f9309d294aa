package fakessh

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
)

// areKnown tells which of some directories a process has in its environment.
// Processes of other users can't be asked.
func areKnown(dirs []string) map[string]bool {
	known := make(map[string]bool)
	list, _ := filepath.Glob("/proc/[0-9]*/environ")
	self := "/proc/" + strconv.Itoa(os.Getpid()) + "/environ"
	for _, path := range list {
		if path == self {
			continue
		}
		env, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for _, dir := range dirs {
			if bytes.Contains(env, []byte(dir)) {
				known[dir] = true
			}
		}
	}
	return known
}
