//go:build unix

package sftp

import (
	"math"
	"os"
	gopath "path"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// openAlways has the flag with which a terminal that is opened does not become the one of
// this process.
const openAlways = unix.O_NOCTTY

func openDir(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
}

// descriptorLimit returns how many files the process may have open.
func descriptorLimit() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return maxHandles
	}
	return int(min(uint64(l.Cur), math.MaxInt32))
}

// fromWire and toWire change nothing: paths in packets are those of the system.

func fromWire(name string) string { return name }

func toWire(name string) string { return name }

func isAbsolute(name string) bool { return name[0] == '/' }

// again repeats a system call until no signal interrupts it.
func again(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}

func attributesOf(name string) (attributes, error) {
	return attributesBy(func(st *unix.Stat_t) error { return unix.Stat(name, st) })
}

// attributesOfLink does not follow a symbolic link.
func attributesOfLink(name string) (attributes, error) {
	return attributesBy(func(st *unix.Stat_t) error { return unix.Lstat(name, st) })
}

func attributesOfOpen(f *os.File) (attributes, error) {
	return attributesBy(func(st *unix.Stat_t) error { return unix.Fstat(int(f.Fd()), st) })
}

func attributesBy(stat func(*unix.Stat_t) error) (attributes, error) {
	var st unix.Stat_t
	if err := again(func() error { return stat(&st) }); err != nil {
		return attributes{}, err
	}
	return attributes{
		flags: attrSize | attrOwners | attrMode | attrTimes,
		size:  uint64(st.Size),
		uid:   st.Uid, gid: st.Gid,
		mode:  uint32(st.Mode),
		atime: uint32(st.Atim.Sec), mtime: uint32(st.Mtim.Sec),
		links: uint64(st.Nlink), modified: int64(st.Mtim.Sec),
	}, nil
}

func setLinkTimes(name string, atime, mtime time.Time) error {
	times := []unix.Timespec{unix.NsecToTimespec(atime.UnixNano()), unix.NsecToTimespec(mtime.UnixNano())}
	return again(func() error { return unix.UtimesNanoAt(unix.AT_FDCWD, name, times, unix.AT_SYMLINK_NOFOLLOW) })
}

// removeFile removes no directories, and removeDir only those. os.Remove removes both.
func removeFile(name string) error { return again(func() error { return unix.Unlink(name) }) }

func removeDir(name string) error { return again(func() error { return unix.Rmdir(name) }) }

// rename also replaces an empty directory, which os.Rename refuses.
func rename(from, to string) error { return again(func() error { return unix.Rename(from, to) }) }

// realPath returns an absolute path without symbolic links, "." and "..". Its last part
// need not exist. The name must be absolute.
func realPath(name string) (string, error) {
	const maxLinks = 32
	resolved, links := "/", 0
	for left := name; left != ""; {
		part, rest, more := strings.Cut(left, "/")
		left = rest
		switch part {
		case "", ".":
			continue
		case "..":
			resolved = gopath.Dir(resolved)
			continue
		}
		next := gopath.Join(resolved, part)
		info, err := os.Lstat(next)
		if os.IsNotExist(err) && !more {
			return next, nil
		}
		if err != nil {
			return "", err
		}
		if info.Mode()&os.ModeSymlink == 0 {
			resolved = next
			continue
		}
		if links++; links > maxLinks {
			return "", syscall.ELOOP
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", err
		}
		if isAbsolute(target) {
			resolved = "/"
		}
		left = target
		if more {
			left += "/" + rest
		}
	}
	return resolved, nil
}
