package disk

import (
	"errors"
	"io/fs"
	"os"
	"sync/atomic"
	"time"
)

// Output is a file that is being written: one that will get the name of a target, or
// the target itself. One goroutine at a time may use it.
type Output struct {
	File      *os.File
	Dir       *Dir
	name      string // in Dir; "": none, the file vanishes when it is closed
	Kept      bool   // a copy that fails leaves the file for a later one
	Placement Placement

	release func() // ends the goroutine that was started with it; nil: there is none
}

// Placement says where the contents of a file are written.
type Placement uint8

const (
	Aside       Placement = iota // to a new file that gets the name afterwards
	InPlace                      // to the regular file that is there
	IntoSpecial                  // to a device, a pipe, or a descriptor of this process
)

// Attributes are given to a file besides contents.
type Attributes struct {
	Mode     fs.FileMode
	Enforce  bool      // files that exist get the mode, too
	MTime    time.Time // zero: now
	UID, GID int       // -1: ours, or those of the file that is there
}

// NoUnnamed gives all files a name from the beginning. Tests set it, to run
// the code for file systems that can't make files without one.
var NoUnnamed atomic.Bool

// CreateOutput makes a new file in d.
func CreateOutput(d *Dir) (*Output, error) {
	if !NoUnnamed.Load() {
		f, err := openUnnamed(d)
		if err == nil {
			return &Output{File: f, Dir: d}, nil
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return nil, err
		}
	}
	name := TempName()
	f, err := d.Root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &Output{File: f, Dir: d, name: name}, nil
}

// Commit gives a new file its attributes and its name, and closes it. If it fails, the
// caller must still call Discard.
func (t *Output) Commit(base string, a Attributes, replace, sync bool) error {
	if err := t.setAttributes(a); err != nil {
		return err
	}
	return t.Appear(base, a, replace, sync)
}

// Appear gives a new file its time and its name, and closes it. It is the part of Commit
// that follows setting the attributes.
func (t *Output) Appear(base string, a Attributes, replace, sync bool) error {
	if sync {
		if err := t.File.Sync(); err != nil {
			return err
		}
	}
	err := t.rename(base, a, replace)
	if err == nil && sync {
		err = syncDir(t.Dir.file)
	}
	return err
}

func (t *Output) setAttributes(a Attributes) error {
	if a.UID >= 0 || a.GID >= 0 {
		if err := t.File.Chown(a.UID, a.GID); err != nil {
			return err
		}
	}
	// After the owner, whose change takes special bits away.
	return t.File.Chmod(a.Mode)
}

func (t *Output) rename(base string, a Attributes, replace bool) error {
	if t.name == "" {
		if !a.MTime.IsZero() {
			if err := setUnnamedTime(t.File, a.MTime); err != nil {
				return err
			}
		}
		err := linkUnnamed(t.File, t.Dir, base)
		if err == nil {
			return t.File.Close()
		}
		if !replace || !errors.Is(err, fs.ErrExist) {
			return err
		}
		// No system call gives a file without a name one that is taken.
		name := TempName()
		if err := linkUnnamed(t.File, t.Dir, name); err != nil {
			return err
		}
		t.name = name
	} else if !a.MTime.IsZero() {
		if err := t.Dir.Root.Chtimes(t.name, time.Time{}, a.MTime); err != nil {
			return err
		}
	}
	if err := t.File.Close(); err != nil {
		return err
	}
	if replace {
		if err := t.Dir.Root.Rename(t.name, base); err != nil {
			return err
		}
		t.name = ""
		return nil
	}
	if err := t.Dir.Root.Link(t.name, base); err != nil {
		return err
	}
	return t.Dir.Root.Remove(t.name)
}

// Abandon closes the file after a failure. It removes a new file, unless that is Kept
// and not empty.
func (t *Output) Abandon() {
	if info, err := t.File.Stat(); t.Kept && err == nil && info.Size() > 0 {
		t.File.Close()
		return
	}
	t.Discard()
}

// Named reports whether the file has a name now, which is not that of the target.
func (t *Output) Named() bool { return t.name != "" }

// Close closes the file, and waits for the goroutine that was started with it.
func (t *Output) Close() error {
	if t.release != nil {
		t.release()
		t.release = nil
	}
	return t.File.Close()
}

// Discard closes a new file and removes it. After Commit it does nothing.
func (t *Output) Discard() {
	t.Close()
	if t.name != "" {
		// The error that led here says more than one of this.
		_ = t.Dir.Root.Remove(t.name)
	}
}
