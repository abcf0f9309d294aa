package sftp

import (
	"encoding/binary"
	"os"
	"time"
)

// The flags say which attributes are present.
const (
	attrSize     = 1
	attrOwners   = 2
	attrMode     = 4
	attrTimes    = 8
	attrExtended = 1 << 31
)

// attributes are the attributes of a file in packets and listings.
type attributes struct {
	flags        uint32
	size         uint64
	uid, gid     uint32
	mode         uint32 // with the type of the file, as of stat(2)
	atime, mtime uint32 // seconds since 1970

	// For listings, not in packets.
	links    uint64 // the number of names of the file
	modified int64  // mtime, which does not end in 2106
}

// The bits of a mode (stat(2)).
const (
	modeType    = 0o170000
	modeFIFO    = 0o010000
	modeChar    = 0o020000
	modeDir     = 0o040000
	modeBlock   = 0o060000
	modeRegular = 0o100000
	modeLink    = 0o120000
	modeSocket  = 0o140000

	modeSetuid = 0o4000
	modeSetgid = 0o2000
	modeSticky = 0o1000
)

func (p *packet) attributes() attributes {
	a := attributes{flags: p.uint32()}
	if a.flags&attrSize != 0 {
		a.size = p.uint64()
	}
	if a.flags&attrOwners != 0 {
		a.uid, a.gid = p.uint32(), p.uint32()
	}
	if a.flags&attrMode != 0 {
		a.mode = p.uint32()
	}
	if a.flags&attrTimes != 0 {
		a.atime, a.mtime = p.uint32(), p.uint32()
	}
	if a.flags&attrExtended != 0 {
		// Pairs of a name and a value, none of which means anything here.
		for n := p.uint32(); n > 0 && !p.bad; n-- {
			p.bytes()
			p.bytes()
		}
	}
	return a
}

func (a *attributes) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, a.flags)
	if a.flags&attrSize != 0 {
		b = binary.BigEndian.AppendUint64(b, a.size)
	}
	if a.flags&attrOwners != 0 {
		b = binary.BigEndian.AppendUint32(b, a.uid)
		b = binary.BigEndian.AppendUint32(b, a.gid)
	}
	if a.flags&attrMode != 0 {
		b = binary.BigEndian.AppendUint32(b, a.mode)
	}
	if a.flags&attrTimes != 0 {
		b = binary.BigEndian.AppendUint32(b, a.atime)
		b = binary.BigEndian.AppendUint32(b, a.mtime)
	}
	return b
}

// fileMode returns the permissions and the bits beside them in the form of package os.
func (a *attributes) fileMode() os.FileMode {
	mode := os.FileMode(a.mode & 0o777)
	if a.mode&modeSetuid != 0 {
		mode |= os.ModeSetuid
	}
	if a.mode&modeSetgid != 0 {
		mode |= os.ModeSetgid
	}
	if a.mode&modeSticky != 0 {
		mode |= os.ModeSticky
	}
	return mode
}

// newMode returns the mode for a new file: the one of the request, or else other, which the
// umask bounds.
func (a *attributes) newMode(other os.FileMode) os.FileMode {
	if a.flags&attrMode == 0 {
		return other
	}
	return a.fileMode()
}

// changer changes the attributes of one file, by its path or by a descriptor.
type changer struct {
	truncate func(size int64) error
	chmod    func(os.FileMode) error
	chtimes  func(atime, mtime time.Time) error
	chown    func(uid, gid int) error
}

// apply changes all attributes of the request, in the order of OpenSSH. It goes on after a
// failure, and returns the last error.
func (a *attributes) apply(c changer) error {
	var last error
	try := func(err error) {
		if err != nil {
			last = err
		}
	}
	if a.flags&attrSize != 0 {
		try(c.truncate(int64(a.size)))
	}
	if a.flags&attrMode != 0 {
		try(c.chmod(a.fileMode()))
	}
	if a.flags&attrTimes != 0 {
		try(c.chtimes(time.Unix(int64(a.atime), 0), time.Unix(int64(a.mtime), 0)))
	}
	if a.flags&attrOwners != 0 {
		try(c.chown(int(int32(a.uid)), int(int32(a.gid))))
	}
	return last
}
