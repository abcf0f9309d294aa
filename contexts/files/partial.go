package files

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

const (
	// minPartial is the size from which on a file that was interrupted is
	// worth keeping, in bytes.
	minPartial = 1 << 20
	// maxPartialAge is how long a kept file is continued.
	maxPartialAge = 24 * time.Hour
)

// partialName returns the name under which what came of a file is kept.
func partialName(base string) string {
	const prefix = ".mitosis-partial-"
	return prefix + base[:min(len(base), maxName-len(prefix))]
}

// findPartial opens what an earlier copy of base has left, and locks it. It
// is nil where there is nothing, where another copy is writing it, or where it
// can't be trusted to be ours: in a directory like /tmp anybody may have put
// something under that name.
func findPartial(d *dir, base string) (*temp, fs.FileInfo) {
	name := partialName(base)
	// Devices do things when they are opened.
	if info, err := d.root.Lstat(name); err != nil || !mayContinue(info) {
		return nil, nil
	}
	f, err := d.root.OpenFile(name, os.O_RDWR|openCalmly, 0)
	if err != nil {
		return nil, nil
	}
	// The lock first: who has it may just be giving the file its name.
	locked := lockFile(f)
	info, err := f.Stat()
	named, nameErr := d.root.Lstat(name)
	if !locked || errors.Join(err, nameErr) != nil || !os.SameFile(info, named) || !mayContinue(info) {
		f.Close()
		return nil, nil
	}
	return &temp{f: f, d: d, name: name, kept: true}, info
}

func mayContinue(info fs.FileInfo) bool {
	return info.Mode().IsRegular() && info.Mode().Perm() == 0o600 && ours(info)
}

// openPartial opens the file in which what comes of base is kept, with the
// first bytes of what is there already. It is nil where that is impossible.
func openPartial(d *dir, base string, have int64) *temp {
	t, info := findPartial(d, base)
	if t == nil {
		name := partialName(base)
		f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil
		}
		t = &temp{f: f, d: d, name: name, kept: true}
		if info, err = f.Stat(); err != nil || !lockFile(f) {
			t.f.Close()
			return nil
		}
	}
	if info.Size() < have || t.f.Truncate(have) != nil {
		t.f.Close()
		return nil
	}
	return t
}
