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
	// halfAge is the age from which an incomplete file is taken for one of a process
	// that was killed. Writing takes a fraction of a second.
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

// KeepNewest removes the entries of a directory but for the n that were changed last. It
// looks only at entries that count, and leaves those that can't be removed.
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
