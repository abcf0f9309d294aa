package disk

import (
	"encoding/binary"
	"io/fs"
	"slices"
)

// accessList is an access control list as the extended attribute
// system.posix_acl_access has it: a version, and entries of 8 bytes (acl(5),
// linux/posix_acl_xattr.h).
type accessList []byte

const (
	listVersion = 2
	listHeader  = 4
	listEntry   = 8
)

// The tags of entries.
const (
	tagUserObj  = 0x01
	tagGroupObj = 0x04
	tagMask     = 0x10
	tagOther    = 0x20
)

func (l accessList) valid() bool {
	return len(l) >= listHeader && (len(l)-listHeader)%listEntry == 0 && binary.LittleEndian.Uint32(l) == listVersion
}

// entry returns the permissions of the first entry with a tag, to be read or
// written; nil where there is none.
func (l accessList) entry(tag uint16) []byte {
	for at := listHeader; at < len(l); at += listEntry {
		if binary.LittleEndian.Uint16(l[at:]) == tag {
			return l[at+2 : at+4]
		}
	}
	return nil
}

func (l accessList) get(tag uint16) fs.FileMode {
	if e := l.entry(tag); e != nil {
		return fs.FileMode(binary.LittleEndian.Uint16(e)) & 0o7
	}
	return 0o7
}

func (l accessList) set(tag uint16, bits fs.FileMode) {
	if e := l.entry(tag); e != nil {
		binary.LittleEndian.PutUint16(e, uint16(bits&0o7))
	}
}

// classTag returns the tag of the entry that the group bits of the mode stand for.
func (l accessList) classTag() uint16 {
	if l.entry(tagMask) != nil {
		return tagMask
	}
	return tagGroupObj
}

// withMode returns the list after a chmod(2).
func (l accessList) withMode(mode fs.FileMode) accessList {
	l = slices.Clone(l)
	l.set(tagUserObj, mode>>6)
	l.set(l.classTag(), mode>>3)
	l.set(tagOther, mode)
	return l
}

// mode returns the permissions of a file with this list, and with the owner's bits of
// mode.
func (l accessList) mode(mode fs.FileMode) fs.FileMode {
	return mode&^0o077 | l.get(l.classTag())<<3 | l.get(tagOther)
}

// groupBits returns the permissions of the owning group.
func (l accessList) groupBits() fs.FileMode { return l.get(tagGroupObj) & l.get(l.classTag()) }

// withoutGroup returns the list for a file that has another group: that group and all
// other users have at most the permissions in bits.
func (l accessList) withoutGroup(bits fs.FileMode) accessList {
	l = slices.Clone(l)
	l.set(tagGroupObj, l.get(tagGroupObj)&bits)
	l.set(tagOther, l.get(tagOther)&bits)
	return l
}
