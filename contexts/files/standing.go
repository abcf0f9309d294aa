package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// standing is a file that has the name of a target already.
type standing struct {
	kind standingKind
	info fs.FileInfo // of what is written to: of a special file behind a link, not of the link
	link bool        // the name is that of a symbolic link
	// foreign tells that another user has put it in a directory like /tmp, where
	// anybody can. What it says about who may read is not to be taken over, and
	// no contents are given to it.
	foreign bool
}

type standingKind uint8

const (
	standsFile    standingKind = iota // regular
	standsLink                        // to be replaced
	standsSpecial                     // a device or a named pipe, perhaps behind a link
)

// find looks at what has the name of a target. It is nil where there is nothing,
// and an error where a copy of a file can't be.
func (r *receiver) find(d *dir, base string) (*standing, error) {
	info, err := d.root.Lstat(base)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errIsDir
	case r.o.NoReplace:
		return nil, fs.ErrExist
	}
	s := &standing{info: info, foreign: d.foreign(info)}
	switch info.Mode().Type() {
	case 0:
		return s, nil
	case fs.ModeSymlink:
		s.link = true
		to, err := os.Stat(d.name(base))
		switch {
		case err == nil && to.IsDir():
			// Who names a link to a directory means the directory.
			return nil, errIsDir
		case err != nil || to.Mode().IsRegular():
			s.kind = standsLink
			return s, nil
		}
		s.info = to
	}
	s.kind = standsSpecial
	return s, r.mayWriteInto(s)
}

// mayWriteInto returns why a file that is not regular is no target.
func (r *receiver) mayWriteInto(s *standing) error {
	mode := s.info.Mode()
	writable := mode&(fs.ModeDevice|fs.ModeNamedPipe) != 0
	if !writable || r.tree || r.o.NoSpecial {
		return fmt.Errorf("%w: it is %s", fs.ErrInvalid, specialName(mode))
	}
	if s.foreign {
		return errForeign
	}
	return nil
}

var errForeign = fmt.Errorf("%w: it belongs to another user, in a directory where anybody can make files", fs.ErrPermission)

func specialName(mode fs.FileMode) string {
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

// foreign reports whether a file in d was put there by another user than us and
// the directory's owner, in a directory where anybody can.
func (d *dir) foreign(info fs.FileInfo) bool {
	owner, _ := ownerOf(info)
	if owner < 0 || owner == os.Geteuid() {
		return false
	}
	in, err := d.file.Stat()
	if err != nil {
		return true
	}
	host, _ := ownerOf(in)
	return in.Mode()&fs.ModeSticky != 0 && in.Mode()&0o022 != 0 && owner != host
}
