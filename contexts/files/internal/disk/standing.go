package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Standing is a file that has the name of a target already.
type Standing struct {
	Kind    StandingKind
	Info    fs.FileInfo // of the file that is written to: behind a symbolic link to a special file, that file
	Symlink bool        // the name is that of a symbolic link
	// Foreign tells that another user has put it in a directory like /tmp, where
	// anybody can make files. A new file does not take over its permissions, and
	// nothing is written into it.
	Foreign bool
}

// StandingKind says what a target can do with a standing file.
type StandingKind uint8

const (
	IsFile    StandingKind = iota // regular
	IsSymlink                     // to a regular file, or to nothing: it is replaced and not followed
	IsDir                         // perhaps behind a symbolic link
	IsSpecial                     // neither; perhaps behind a symbolic link
)

// Find looks at the file that has the name of a target in d. It returns nil where
// there is none.
func Find(d *Dir, base string) (*Standing, error) {
	info, err := d.Root.Lstat(base)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	s := &Standing{Info: info, Symlink: info.Mode().Type() == fs.ModeSymlink, Foreign: d.foreign(info)}
	if s.Symlink {
		to, err := os.Stat(d.name(base))
		if err != nil || to.Mode().IsRegular() {
			s.Kind = IsSymlink
			return s, nil
		}
		s.Info = to
	}
	switch {
	case s.Info.IsDir():
		s.Kind = IsDir
	case !s.Info.Mode().IsRegular():
		s.Kind = IsSpecial
	}
	return s, nil
}

var (
	// ErrForeign is the error of writing into a file with Standing.Foreign.
	ErrForeign = fmt.Errorf("%w: it belongs to another user, in a directory where anybody can make files", fs.ErrPermission)
	// ErrChanged is the error where a file is not the one that Find has seen.
	ErrChanged = fmt.Errorf("%w: something else has its name now", fs.ErrInvalid)
)

// KindName returns words for a file that is neither regular nor a directory nor a symbolic
// link.
func KindName(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeCharDevice != 0:
		return "a character device"
	case mode&fs.ModeDevice != 0:
		return "a block device"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "no regular file"
}

// foreign reports whether a user who is neither ours nor the owner of d has put a
// file in d, and d is a directory where anybody can.
func (d *Dir) foreign(info fs.FileInfo) bool {
	owner, _ := OwnerOf(info)
	if owner < 0 || owner == os.Geteuid() {
		return false
	}
	in, err := d.file.Stat()
	if err != nil {
		return true
	}
	host, _ := OwnerOf(in)
	return in.Mode()&fs.ModeSticky != 0 && in.Mode()&0o022 != 0 && owner != host
}
