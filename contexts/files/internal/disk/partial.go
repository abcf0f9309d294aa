package disk

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

const (
	// MinPartial is the size of the smallest file that is kept when its copy is
	// interrupted, in bytes.
	MinPartial = 1 << 20
	// maxName is the length of the longest name of a file on Linux, in bytes.
	maxName = 255
	// MaxPartialAge is the time for which a later copy continues a kept file.
	MaxPartialAge = 24 * time.Hour
)

// PartialName returns the name of the file in which the first part of base is kept.
func PartialName(base string) string {
	const prefix = ".mitosis-partial-"
	return prefix + base[:min(len(base), maxName-len(prefix))]
}

// FindPartial opens the part of base that an earlier copy has left, and locks it. It
// is nil where there is none, where another copy is writing it, and where it may not
// be ours: in a directory like /tmp anybody can make a file of that name.
func FindPartial(d *Dir, base string) (*Output, fs.FileInfo) {
	name := PartialName(base)
	// Devices do things when they are opened.
	if info, err := d.Root.Lstat(name); err != nil || !mayContinue(info) {
		return nil, nil
	}
	f, err := d.Root.OpenFile(name, os.O_RDWR|NoWait, 0)
	if err != nil {
		return nil, nil
	}
	// The lock comes first: another copy that holds it may be renaming the file.
	locked := lockFile(f)
	info, err := f.Stat()
	named, nameErr := d.Root.Lstat(name)
	if !locked || errors.Join(err, nameErr) != nil || !os.SameFile(info, named) || !mayContinue(info) {
		f.Close()
		return nil, nil
	}
	return &Output{File: f, Dir: d, name: name, Kept: true}, info
}

func mayContinue(info fs.FileInfo) bool {
	return info.Mode().IsRegular() && info.Mode().Perm() == 0o600 && ours(info)
}

// OpenPartial opens the file in which the first part of base is kept, cut to its first
// have bytes. It is nil where that is impossible.
func OpenPartial(d *Dir, base string, have int64) *Output {
	t, info := FindPartial(d, base)
	if t == nil {
		name := PartialName(base)
		f, err := d.Root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil
		}
		t = &Output{File: f, Dir: d, name: name, Kept: true}
		if info, err = f.Stat(); err != nil || !lockFile(f) {
			t.File.Close()
			return nil
		}
	}
	if info.Size() < have || t.File.Truncate(have) != nil {
		t.File.Close()
		return nil
	}
	return t
}
