//go:build linux

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Snapshot has every path of a host that differs from the machine's own files: the upper layer
// of the root, and all of the file systems in memory. The values describe the files and are
// only for comparison.
type Snapshot map[string]string

// LoginTraces are the paths that sshd, sudo and PAM write at every login; see Diff.
var LoginTraces = []string{
	"/var/log", "/run/utmp", "/run/sudo", "/var/lib/sudo", "/run/sshd.log", "/run/motd.dynamic",
	"/var/lib/systemd", "/run/faillock", "/var/lib/lastlog", "/var/lib/wtmpdb",
}

// ownFileSystems are searched whole, since they have no files of the machine.
var ownFileSystems = []string{"/dev", "/dev/shm", "/run", "/tmp", "/home", "/root"}

// Snapshot returns the present state of the host's files. It panics when the host has ended.
func (r *Running) Snapshot() Snapshot {
	s := Snapshot{}
	err := s.walk(fmt.Sprintf("/proc/self/fd/%d/", r.upper.Fd()), "/")
	if err == nil {
		err = r.gate.do(func() error {
			for _, dir := range slices.Concat(ownFileSystems, r.host.Noexec) {
				if err := s.walk(dir, dir); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		panic(fmt.Sprintf("lab: snapshot of %s: %v", r.Name(), err))
	}
	return s
}

// Upper lists the paths of a Snapshot in order.
func (r *Running) Upper() []string {
	return slices.Sorted(maps.Keys(r.Snapshot()))
}

// walk adds all paths below dir, with the name as in place of dir. It does not enter other file
// systems, such as bind mounts.
func (s Snapshot) walk(dir, as string) error {
	var device uint64
	return filepath.WalkDir(dir, func(file string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the file has gone since its directory was read
		}
		if err != nil {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		if file == dir {
			device = st.Dev
			return nil
		}
		name := path.Join(as, strings.TrimPrefix(file, dir))
		if st.Dev != device {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		is := describe(file, info, st)
		// The overlay copies a directory up when something in it changes. That alone
		// is no change of the directory.
		if as == "/" && e.IsDir() {
			if below, err := os.Lstat(name); err == nil && is == describe(name, below, below.Sys().(*syscall.Stat_t)) {
				return nil
			}
		}
		s[name] = is
		return nil
	})
}

// describe returns a text that changes whenever the file does. It leaves out the time of a
// directory, which changes with its entries: they have texts of their own.
func describe(file string, info fs.FileInfo, st *syscall.Stat_t) string {
	owner := fmt.Sprintf("%v %d:%d", info.Mode(), st.Uid, st.Gid)
	switch {
	case info.IsDir():
		return owner
	case info.Mode()&fs.ModeSymlink != 0:
		target, _ := os.Readlink(file)
		return owner + " -> " + target
	case info.Mode()&fs.ModeCharDevice != 0 && st.Rdev == 0:
		return "deleted" // the overlay's mark for a deleted file
	case info.Mode().IsRegular():
		return fmt.Sprintf("%s %d bytes %v", owner, info.Size(), info.ModTime().UnixNano())
	}
	return owner
}

// Diff lists what changed between two snapshots: lines that begin with "+ " for
// new paths, "- " for paths that are gone and "~ " for changed ones. The paths in
// except, and all below them, are left out.
func Diff(before, after Snapshot, except ...string) []string {
	var lines []string
	note := func(mark, name string) {
		for _, e := range except {
			if name == e || strings.HasPrefix(name, e+"/") {
				return
			}
		}
		lines = append(lines, mark+" "+name)
	}
	for name, is := range after {
		if was, ok := before[name]; !ok {
			note("+", name)
		} else if was != is {
			note("~", name)
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			note("-", name)
		}
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[2:], b[2:]) })
	return lines
}
