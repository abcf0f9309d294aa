package disk

import (
	"io/fs"
	"os"
	"syscall"
	"time"
)

// modeBits are the bits that chmod(2) sets.
const (
	modeBits    = fs.ModePerm | specialMode
	specialMode = fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
)

// Loss has the errors for attributes that a new file could not get from the one that it
// replaces.
type Loss struct{ Owner, ACL, Extras error }

// Inherit gives a new file the owner, group, permissions or access control list, and
// extended attributes of the file old in the same directory, which it will replace. a
// overrides them. privileged reports whether old had privileges that the new file does
// not get: special bits of its mode, or capabilities.
//
// Nobody can read the new file at any time who could not read the old one: it is ours
// and has mode 0600 until its owner is set, and gets list and mode in one step.
func (t *Output) Inherit(base string, old fs.FileInfo, a Attributes) (lost Loss, privileged bool, err error) {
	t.Kept = false // a later copy would not trust it with another owner or mode
	x := readExtras(t.Dir, base)
	lost.Extras = x.give(t.File)
	mode := old.Mode().Perm()
	if a.Enforce {
		mode = a.Mode
	}
	groupKept, err := t.takeOwner(old, a, &lost)
	if err != nil {
		return lost, false, err
	}
	list := x.list
	if !groupKept && !a.Enforce {
		// Members of our group were among all others, and now the old group is.
		least := mode >> 3 & mode & 0o7
		if list != nil {
			least = list.groupBits() & mode & 0o7
			list = list.withoutGroup(least)
		}
		mode = mode&^0o077 | least<<3 | least
		if list != nil {
			mode = list.mode(mode)
		}
	}
	if x.hidden && !a.Enforce {
		mode &^= 0o070 // a list may have given the group less than this
	}
	if list != nil {
		if lost.ACL = setList(t.File, list.withMode(mode)); lost.ACL != nil {
			mode &^= ^(list.groupBits() << 3) & 0o070
		}
	} else if err := clearList(t.File); err != nil {
		return lost, false, err
	}
	if list == nil || lost.ACL != nil || mode&specialMode != 0 {
		err = t.File.Chmod(mode)
	}
	return lost, x.capable || !a.Enforce && old.Mode()&specialMode != 0, err
}

// takeOwner gives the file the owner and group of old, or those of a. groupKept
// reports whether it has that group now.
func (t *Output) takeOwner(old fs.FileInfo, a Attributes, lost *Loss) (groupKept bool, err error) {
	uid, gid := OwnerOf(old)
	if a.UID >= 0 {
		uid, gid = a.UID, a.GID
	}
	now, err := t.File.Stat()
	if err != nil {
		return false, err
	}
	ourUID, ourGID := OwnerOf(now)
	if uid == ourUID && gid == ourGID {
		return true, nil
	}
	if err = t.File.Chown(uid, gid); err == nil || a.UID >= 0 {
		return err == nil, err
	}
	lost.Owner = Reason(err)
	return gid == ourGID || t.File.Chown(-1, gid) == nil, nil
}

// changesOwner reports whether a file is to get another owner or group.
func (a Attributes) changesOwner(info fs.FileInfo) bool {
	uid, gid := OwnerOf(info)
	return a.UID >= 0 && (uid != a.UID || gid != a.GID)
}

// prepare makes a file that is there ready for new contents. Nobody can read them who
// could not read the old ones, or who may not read them in the end. The owner is
// changed now, as that may be refused.
func (a Attributes) prepare(f *os.File, info fs.FileInfo) error {
	now := info.Mode() & modeBits
	mode := now.Perm()
	if a.Enforce {
		mode &= a.Mode
	}
	owner := a.changesOwner(info)
	if owner {
		mode &= 0o700
	}
	if mode != now || a.Enforce && a.Mode != now {
		// This tells in time whether we may set the mode. If only special bits differ, a
		// failure does not matter: writing takes them away.
		if err := f.Chmod(mode); err != nil && (a.Enforce || mode != now.Perm()) {
			return err
		}
	}
	if !owner {
		return nil
	}
	if err := f.Chown(a.UID, a.GID); err != nil {
		_ = f.Chmod(now) // as it was
		return err
	}
	return nil
}

// impose gives a file that is there the owner and the mode of a.
func (a Attributes) impose(f *os.File, info fs.FileInfo) error {
	now := info.Mode() & modeBits
	if a.changesOwner(info) {
		if err := a.prepare(f, info); err != nil {
			return err
		}
		now = fs.ModeIrregular // whatever it is now
	}
	if a.Enforce && now != a.Mode {
		return f.Chmod(a.Mode)
	}
	return nil
}

// SetFile gives a file of d, whose contents are right, the attributes that it lacks.
func (a Attributes) SetFile(d *Dir, base string) error {
	if !a.Enforce && a.UID < 0 && a.MTime.IsZero() {
		return nil
	}
	f, err := d.Root.OpenFile(base, os.O_RDONLY|NoWait, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := a.impose(f, info); err != nil {
		return err
	}
	if a.MTime.IsZero() || a.MTime.Equal(info.ModTime()) {
		return nil
	}
	return d.Root.Chtimes(base, time.Time{}, a.MTime)
}

// SetDir gives a directory below root its attributes. sync writes it to the disk.
func (a Attributes) SetDir(root *os.Root, name string, sync bool) error {
	d, err := root.OpenFile(name, os.O_RDONLY|NoWait, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	if info, err := d.Stat(); err != nil || !info.IsDir() {
		return syscall.ENOTDIR // another process has put something else there
	}
	if a.UID >= 0 || a.GID >= 0 {
		if err := d.Chown(a.UID, a.GID); err != nil {
			return err
		}
	}
	if err := d.Chmod(a.Mode); err != nil {
		return err
	}
	if sync {
		if err := syncDir(d); err != nil {
			return err
		}
	}
	if a.MTime.IsZero() {
		return nil
	}
	return root.Chtimes(name, time.Time{}, a.MTime)
}
