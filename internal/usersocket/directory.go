//go:build linux || darwin || freebsd

package usersocket

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// maxPath is the length of the longest path that a socket's address holds, in
// bytes: sun_path of unix(7) with a zero byte behind it.
const maxPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// CheckPath returns an error for a path that is too long. The kernel only says "invalid
// argument".
func CheckPath(path string) error {
	if len(path) > maxPath {
		return fmt.Errorf("%w: %q has %d bytes, %d are allowed", ErrPathTooLong, path, len(path), maxPath)
	}
	return nil
}

// OpenDir opens a directory, and checks that it is the user's alone.
func OpenDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		switch st, ok := info.Sys().(*syscall.Stat_t); {
		case !info.IsDir():
			err = &fs.PathError{Op: "bind", Path: dir, Err: syscall.ENOTDIR}
		case !ok || int(st.Uid) != os.Geteuid():
			err = fmt.Errorf("%w: %s belongs to another user", ErrExposed, dir)
		case info.Mode().Perm()&0o077 != 0:
			err = fmt.Errorf("%w: %s has mode %04o; it needs 0700", ErrExposed, dir, info.Mode().Perm())
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
