package sftp

import (
	"os"
	gopath "path"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const openAlways = 0

func openDir(name string) (*os.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func descriptorLimit() int { return 2 * maxHandles }

// fromWire returns the path of a file. In packets it has slashes, one of them before a
// drive: /C:/Windows.
func fromWire(name string) string {
	name = filepath.FromSlash(name)
	drive := strings.TrimLeft(name, `\`)
	switch {
	case len(drive) == len(name):
	case filepath.IsAbs(drive):
		return drive
	case filepath.IsAbs(drive + `\`):
		return drive + `\`
	}
	return name
}

func toWire(name string) string {
	name = filepath.ToSlash(name)
	if !gopath.IsAbs(name) {
		return "/" + name
	}
	return name
}

// isAbsolute reports whether a path is absolute, be it without a drive.
func isAbsolute(name string) bool { return filepath.IsAbs(name) || name[0] == '\\' }

func attributesOf(name string) (attributes, error) { return attributesFrom(os.Stat(name)) }

// attributesOfLink does not follow a symbolic link.
func attributesOfLink(name string) (attributes, error) { return attributesFrom(os.Lstat(name)) }

func attributesOfOpen(f *os.File) (attributes, error) { return attributesFrom(f.Stat()) }

func attributesFrom(info os.FileInfo, err error) (attributes, error) {
	if err != nil {
		return attributes{}, err
	}
	a := attributes{
		flags: attrSize | attrMode | attrTimes,
		size:  uint64(info.Size()),
		mode:  uint32(info.Mode().Perm()),
		atime: uint32(info.ModTime().Unix()), mtime: uint32(info.ModTime().Unix()),
		links: 1, modified: info.ModTime().Unix(),
	}
	if data, ok := info.Sys().(*syscall.Win32FileAttributeData); ok {
		a.atime = uint32(time.Unix(0, data.LastAccessTime.Nanoseconds()).Unix())
	}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		a.mode |= modeRegular
	case mode.IsDir():
		a.mode |= modeDir
	case mode&os.ModeSymlink != 0:
		a.mode |= modeLink
	case mode&os.ModeNamedPipe != 0:
		a.mode |= modeFIFO
	case mode&os.ModeSocket != 0:
		a.mode |= modeSocket
	case mode&os.ModeCharDevice != 0:
		a.mode |= modeChar
	case mode&os.ModeDevice != 0:
		a.mode |= modeBlock
	}
	return a, nil
}

func setTimes(f *os.File, atime, mtime time.Time) error {
	a, m := syscall.NsecToFiletime(atime.UnixNano()), syscall.NsecToFiletime(mtime.UnixNano())
	return syscall.SetFileTime(syscall.Handle(f.Fd()), nil, &a, &m)
}

// setLinkTimes and chmodLink fail: symbolic links have no times and modes of their own.

func setLinkTimes(string, time.Time, time.Time) error { return statusUnsupported }

func chmodLink(string, *attributes) error { return statusUnsupported }

// removeFile removes no directories, and removeDir only those. os.Remove removes both.
func removeFile(name string) error {
	if info, err := os.Lstat(name); err == nil && info.IsDir() {
		return syscall.EISDIR
	}
	return os.Remove(name)
}

func removeDir(name string) error {
	if info, err := os.Lstat(name); err == nil && !info.IsDir() {
		return syscall.ENOTDIR
	}
	return os.Remove(name)
}

func rename(from, to string) error { return os.Rename(from, to) }

func realPath(name string) (string, error) {
	name, err := filepath.Abs(name)
	return toWire(name), err
}
