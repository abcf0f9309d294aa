package image

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// halfPrefix begins the name of a file that is being written.
	halfPrefix = ".new-"
	// halfAge is when a file that nobody has completed is taken for one that was left
	// by a process that was killed. Writing takes a fraction of a second.
	halfAge = 10 * time.Minute
)

// forgetHalves removes the files of a directory that were never completed.
func forgetHalves(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), halfPrefix) && time.Since(info.ModTime()) > halfAge {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// KeepNewest removes all but the n entries of a directory that were changed last,
// among those that count. What can't be removed stays for the next time.
func KeepNewest(dir string, n int, counts func(fs.DirEntry) bool) {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) <= n {
		return
	}
	age := make(map[string]time.Time)
	var names []string
	for _, e := range entries {
		if info, err := e.Info(); err == nil && counts(e) {
			names, age[e.Name()] = append(names, e.Name()), info.ModTime()
		}
	}
	slices.SortFunc(names, func(a, b string) int { return age[b].Compare(age[a]) })
	for _, name := range names[min(n, len(names)):] {
		_ = os.RemoveAll(filepath.Join(dir, name))
	}
}
