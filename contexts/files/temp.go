package files

import (
	"errors"
	"io/fs"
	"os"
	"sync/atomic"
	"time"
)

// temp is a file that is being written: one that does not have its name yet, or
// the target itself.
type temp struct {
	f    *os.File
	d    *dir
	name string // in d; "": none, the file vanishes when it is closed
	kept bool   // what there is of it is kept when the copy fails
	way  way

	release func() // ends what was started with it; nil: nothing was
}

// way is where the contents of a file are written.
type way uint8

const (
	aside       way = iota // to a file that gets the name afterwards
	inPlace                // to the regular file that is there
	intoSpecial            // to a device, a pipe, or a descriptor of this process
)

// attributes are what a file gets besides contents.
type attributes struct {
	mode     fs.FileMode
	told     bool      // the mode holds for files that exist, too
	mtime    time.Time // zero: now
	uid, gid int       // -1: ours, or as it is
}

// noUnnamed has all files named from the beginning. Tests set it, to see what
// happens where the file system can't do otherwise.
var noUnnamed atomic.Bool

// createTemp makes a new file in d.
func createTemp(d *dir) (*temp, error) {
	if !noUnnamed.Load() {
		f, err := openUnnamed(d)
		if err == nil {
			return &temp{f: f, d: d}, nil
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return nil, err
		}
	}
	name := tempName()
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &temp{f: f, d: d, name: name}, nil
}

// commit gives a new file its attributes and its name, and closes it. If it
// fails the file is still to be discarded.
func (t *temp) commit(base string, a attributes, replace, sync bool) error {
	if err := t.setAttributes(a); err != nil {
		return err
	}
	return t.appear(base, a, replace, sync)
}

// appear gives the file its time and its name, and closes it.
func (t *temp) appear(base string, a attributes, replace, sync bool) error {
	if sync {
		if err := t.f.Sync(); err != nil {
			return err
		}
	}
	err := t.rename(base, a, replace)
	if err == nil && sync {
		err = syncDir(t.d.file)
	}
	return err
}

func (t *temp) setAttributes(a attributes) error {
	if a.uid >= 0 || a.gid >= 0 {
		if err := t.f.Chown(a.uid, a.gid); err != nil {
			return err
		}
	}
	// After the owner, whose change takes special bits away.
	return t.f.Chmod(a.mode)
}

func (t *temp) rename(base string, a attributes, replace bool) error {
	if t.name == "" {
		if !a.mtime.IsZero() {
			if err := setUnnamedTime(t.f, a.mtime); err != nil {
				return err
			}
		}
		err := linkUnnamed(t.f, t.d, base)
		if err == nil {
			return t.f.Close()
		}
		if !replace || !errors.Is(err, fs.ErrExist) {
			return err
		}
		// No system call gives a file without a name one that is taken.
		name := tempName()
		if err := linkUnnamed(t.f, t.d, name); err != nil {
			return err
		}
		t.name = name
	} else if !a.mtime.IsZero() {
		if err := t.d.root.Chtimes(t.name, time.Time{}, a.mtime); err != nil {
			return err
		}
	}
	if err := t.f.Close(); err != nil {
		return err
	}
	if replace {
		if err := t.d.root.Rename(t.name, base); err != nil {
			return err
		}
		t.name = ""
		return nil
	}
	if err := t.d.root.Link(t.name, base); err != nil {
		return err
	}
	return t.d.root.Remove(t.name)
}

// abandon is for a copy that failed: it removes the file, or keeps what there
// is of it.
func (t *temp) abandon() {
	if info, err := t.f.Stat(); t.kept && err == nil && info.Size() > 0 {
		t.f.Close()
		return
	}
	t.discard()
}

// close closes the file.
func (t *temp) close() error {
	if t.release != nil {
		t.release()
		t.release = nil
	}
	return t.f.Close()
}

// discard removes the file. After commit it does nothing.
func (t *temp) discard() {
	t.close()
	if t.name != "" {
		// Nothing can be done where this fails, and the error that led here
		// says more.
		_ = t.d.root.Remove(t.name)
	}
}
