package disk

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// CannotReplace reports whether an error says that a file can't be replaced by another,
// where writing in place may succeed: the file is a mount point, or its directory is
// read-only, or not ours to change.
func CannotReplace(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EXDEV) || errors.Is(err, syscall.EROFS)
}

// OpenInPlace opens a file that is there, makes sure of room for so many bytes, and
// prepares its attributes for new contents. privileged is as for Inherit.
func OpenInPlace(d *Dir, base string, old *Standing, room int64, a Attributes) (t *Output, privileged bool, err error) {
	if old.Foreign {
		return nil, false, ErrForeign
	}
	capable := readExtras(d, base).capable
	now, err := d.Root.OpenFile(base, os.O_WRONLY|NoWait|NoControl, 0)
	if err != nil {
		return nil, false, err
	}
	info, err := now.Stat()
	if err == nil && (!info.Mode().IsRegular() || !os.SameFile(info, old.Info)) {
		err = ErrChanged
	}
	if err == nil && room > 0 {
		err = reserve(now, room)
	}
	if err == nil && !a.MTime.IsZero() {
		// This tells in time whether we may set times.
		err = d.Root.Chtimes(base, time.Time{}, info.ModTime())
	}
	if err == nil {
		err = a.prepare(now, info)
	}
	if err != nil {
		now.Close()
		return nil, false, err
	}
	return &Output{File: now, Dir: d, Placement: InPlace}, capable || !a.Enforce && info.Mode()&specialMode != 0, nil
}

// Reopen opens a new file to read its contents. It may be closed, and
// have permissions by which we can't open it.
func (t *Output) Reopen() (*os.File, error) {
	if err := t.Dir.Root.Chmod(t.name, 0o600); err != nil {
		return nil, err
	}
	return t.Dir.Root.Open(t.name)
}

// FinishDirect gives a file that was written into, not aside, its attributes, and
// closes it. base is its name in Dir.
func (t *Output) FinishDirect(base string, a Attributes, sync bool) error {
	if t.Placement == InPlace {
		info, err := t.File.Stat()
		if err == nil {
			err = a.impose(t.File, info)
		}
		if err != nil {
			return err
		}
	}
	if sync {
		// Most devices and all pipes refuse it.
		if err := t.File.Sync(); err != nil && t.Placement == InPlace {
			return err
		} else if err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	if t.Placement == InPlace && !a.MTime.IsZero() {
		if err := t.Dir.Root.Chtimes(base, time.Time{}, a.MTime); err != nil {
			return err
		}
	}
	return t.Close()
}

// Cut gives a file that was written up to size this length. Behind the last data there
// may be a hole, for which holes is set, or the old contents. Files of /proc have no
// length that could be set.
func Cut(f *os.File, size int64, holes bool) error {
	if !holes {
		if info, err := f.Stat(); err == nil && info.Size() <= size {
			return nil
		}
	}
	return f.Truncate(size)
}
