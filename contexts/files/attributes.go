package files

import (
	"cmp"
	"io/fs"
	"os"
)

// modeBits are what chmod(2) sets.
const (
	modeBits    = fs.ModePerm | specialMode
	specialMode = fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
)

// loss is what a new file could not get of the one that it replaces.
type loss struct{ owner, acl, extras error }

// inherit gives a file that will replace old, in the same directory, what that
// has: its owner and group, its permissions or access control list, and its
// extended attributes; as far as a does not say otherwise. It tells whether old
// had privileges that are not passed on.
//
// The new file is ours and has mode 0600 until its owner is set, and gets its
// access list and mode in one step, so that at no time anybody can read it who
// could not read the old one.
func (t *temp) inherit(base string, old fs.FileInfo, a attributes) (lost loss, privileged bool, err error) {
	t.kept = false // it will not be what a later copy trusts
	x := readExtras(t.d, base)
	lost.extras = x.give(t.f)
	mode := old.Mode().Perm()
	if a.told {
		mode = a.mode
	}
	groupKept, err := t.takeOwner(old, a, &lost)
	if err != nil {
		return lost, false, err
	}
	list := x.list
	if !groupKept && !a.told {
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
	if x.hidden && !a.told {
		mode &^= 0o070 // a list may have given the group less than this
	}
	if list != nil {
		if lost.acl = setList(t.f, list.withMode(mode)); lost.acl != nil {
			mode &^= ^(list.groupBits() << 3) & 0o070
		}
	} else if err := clearList(t.f); err != nil {
		return lost, false, err
	}
	if list == nil || lost.acl != nil || mode&specialMode != 0 {
		err = t.f.Chmod(mode)
	}
	return lost, x.capable || !a.told && old.Mode()&specialMode != 0, err
}

// takeOwner gives the file the owner and group of old, or those of a. groupKept
// tells that the group is right.
func (t *temp) takeOwner(old fs.FileInfo, a attributes, lost *loss) (groupKept bool, err error) {
	uid, gid := ownerOf(old)
	if a.uid >= 0 {
		uid, gid = a.uid, a.gid
	}
	now, err := t.f.Stat()
	if err != nil {
		return false, err
	}
	ourUID, ourGID := ownerOf(now)
	if uid == ourUID && gid == ourGID {
		return true, nil
	}
	if err = t.f.Chown(uid, gid); err == nil || a.uid >= 0 {
		return err == nil, err
	}
	lost.owner = reason(err)
	return gid == ourGID || t.f.Chown(-1, gid) == nil, nil
}

// tell makes notes of what was lost.
func (f *file) tell(lost loss, privileged bool) {
	if lost.owner != nil {
		f.r.note(f.Path, NoteOwnerLost, lost.owner.Error())
	}
	if err := cmp.Or(lost.acl, lost.extras); err != nil {
		f.r.note(f.Path, NoteAttributesLost, err.Error())
	}
	if privileged {
		f.r.note(f.Path, NotePrivilegesDropped, "")
	}
}

// changesOwner reports whether a file is to get another owner or group.
func (a attributes) changesOwner(info fs.FileInfo) bool {
	uid, gid := ownerOf(info)
	return a.uid >= 0 && (uid != a.uid || gid != a.gid)
}

// prepare makes a file that is there ready for new contents: nobody can read
// those who could not read the old ones, or will not be able to read the new
// ones. The owner is changed now, as that may be refused.
func (a attributes) prepare(f *os.File, info fs.FileInfo) error {
	now := info.Mode() & modeBits
	mode := now.Perm()
	if a.told {
		mode &= a.mode
	}
	owner := a.changesOwner(info)
	if owner {
		mode &= 0o700
	}
	if mode != now || a.told && a.mode != now {
		// It is known now whether we may set the mode. Where only bits are in the way
		// that writing takes away, there is nothing to be done.
		if err := f.Chmod(mode); err != nil && (a.told || mode != now.Perm()) {
			return err
		}
	}
	if !owner {
		return nil
	}
	if err := f.Chown(a.uid, a.gid); err != nil {
		_ = f.Chmod(now) // as it was
		return err
	}
	return nil
}

// impose gives a file that is there what the options say.
func (a attributes) impose(f *os.File, info fs.FileInfo) error {
	now := info.Mode() & modeBits
	if a.changesOwner(info) {
		if err := a.prepare(f, info); err != nil {
			return err
		}
		now = fs.ModeIrregular // whatever it is now
	}
	if a.told && now != a.mode {
		return f.Chmod(a.mode)
	}
	return nil
}
