package files

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// cannotReplace reports whether an error is one by which a file can't be
// replaced by another, and which writing in place may not meet: it is a mount
// point, or its directory is read-only, or not ours to change.
func cannotReplace(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EXDEV) || errors.Is(err, syscall.EROFS)
}

// mayBeInPlace reports whether a file that is there may be written in place when
// it can't be replaced.
func (r *receiver) mayBeInPlace(old *standing) bool {
	return r.o.Overwrite == ReplaceOrInPlace && old != nil && old.kind == standsFile && !old.foreign
}

// mustBeInPlace reports whether contents have to go into the file that is there
// as they come: there is no place to put them aside.
func (f *file) mustBeInPlace(d *dir) bool {
	if f.r.o.Overwrite == InPlace {
		return !f.mayResume(d) // which has its own file beside the target
	}
	return f.r.mayBeInPlace(f.old) && d.stuck() != nil
}

// openOutput opens what the contents are written to, where that is not a file
// that Resume keeps.
func (f *file) openOutput(d *dir, base string) (*temp, error) {
	switch {
	case f.r.descriptor >= 0:
		return f.r.openDescriptor(f.r.descriptor)
	case f.old == nil || f.old.kind == standsLink:
		return createTemp(d)
	case f.old.kind == standsSpecial:
		return f.r.openSpecial(d, base, f.old)
	case f.r.o.Overwrite == InPlace:
		return f.openInPlace(d, base, f.old)
	}
	err := d.stuck()
	if err == nil {
		var t *temp
		if t, err = createTemp(d); err == nil {
			return t, nil
		}
	}
	if !f.r.mayBeInPlace(f.old) || !cannotReplace(err) {
		return nil, err
	}
	return f.insteadOf(d, base, f.old, err)
}

// insteadOf opens a file to be written in place because it can't be replaced.
func (f *file) insteadOf(d *dir, base string, old *standing, why error) (*temp, error) {
	t, err := f.openInPlace(d, base, old)
	if err == nil {
		f.r.note(f.Path, NoteInPlace, reason(why).Error())
		return t, nil
	}
	why, err = reason(why), reason(err)
	if why.Error() == err.Error() {
		return nil, err
	}
	return nil, fmt.Errorf("%w; in place: %w", why, err)
}

// openInPlace opens a file that is there, makes sure of room for the new
// contents, and prepares its attributes for them.
func (f *file) openInPlace(d *dir, base string, old *standing) (*temp, error) {
	if old.foreign {
		return nil, errForeign
	}
	capable := readExtras(d, base).capable
	now, err := d.root.OpenFile(base, os.O_WRONLY|openCalmly|noControl, 0)
	if err != nil {
		return nil, err
	}
	info, err := now.Stat()
	if err == nil && (!info.Mode().IsRegular() || !os.SameFile(info, old.info)) {
		err = errChanged
	}
	if err == nil && f.Size > 0 && !f.Sparse {
		err = reserve(now, f.Size)
	}
	a := f.r.attributes(&f.entry)
	if err == nil && !a.mtime.IsZero() {
		// It is known now whether we may.
		err = d.root.Chtimes(base, time.Time{}, info.ModTime())
	}
	if err == nil {
		err = a.prepare(now, info)
	}
	if err != nil {
		now.Close()
		return nil, err
	}
	f.tell(loss{}, capable || !a.told && info.Mode()&specialMode != 0)
	return &temp{f: now, d: d, way: inPlace}, nil
}

// begun tells that the target itself is being written.
func (f *file) begun(t *temp) {
	if t.way != aside {
		f.r.torn = f
	}
}

// settle makes the target of what was written to t, all of which is there.
func (f *file) settle(t *temp, base string) error {
	if t.way != aside {
		return f.settleDirect(t, base)
	}
	a := f.r.attributes(&f.entry)
	sync := f.r.o.Sync
	if f.r.o.NoReplace {
		return t.commit(base, a, false, sync)
	}
	var old *standing
	if !t.d.made || t.name != "" {
		var err error
		if old, err = f.r.find(t.d, base); err != nil {
			return err
		}
	}
	if old == nil {
		err := t.commit(base, a, t.name != "", sync)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		// It has been made meanwhile.
		if old, err = f.r.find(t.d, base); err != nil || old == nil {
			return errors.Join(err, fs.ErrExist)
		}
	}
	switch {
	case old.kind == standsSpecial:
		return errChanged
	case old.kind == standsLink || old.foreign:
		err := t.commit(base, a, true, sync)
		if err == nil && old.kind == standsLink {
			f.r.note(f.Path, NoteLinkReplaced, "")
		}
		return err
	case f.r.o.Overwrite == InPlace:
		in, err := f.openInPlace(t.d, base, old)
		if err != nil {
			return err
		}
		return f.pour(t, in, base)
	}
	return f.replace(t, base, old, a)
}

// replace puts t in the place of a regular file, or writes it into that where
// it may.
func (f *file) replace(t *temp, base string, old *standing, a attributes) error {
	lost, privileged, err := t.inherit(base, old.info, a)
	if err != nil {
		return err
	}
	if why := cmp.Or(lost.owner, lost.acl); why != nil && f.r.mayBeInPlace(old) {
		if in, err := f.openInPlace(t.d, base, old); err == nil {
			f.r.note(f.Path, NoteInPlace, why.Error())
			return f.pour(t, in, base)
		}
	}
	err = t.appear(base, a, true, f.r.o.Sync)
	if err == nil {
		f.tell(lost, privileged)
	}
	if err == nil || !cannotReplace(err) || !f.r.mayBeInPlace(old) {
		return err
	}
	in, err := f.insteadOf(t.d, base, old, err)
	if err != nil {
		return err
	}
	return f.pour(t, in, base)
}

// pour writes what is in t, and checked, into the target, and removes t.
func (f *file) pour(t, in *temp, base string) error {
	err := f.contentsInto(t, in.f)
	if err == nil {
		err = f.settleDirect(in, base)
	}
	if err != nil {
		in.discard()
		return f.r.incomplete(f.Path, err)
	}
	t.discard()
	return nil
}

// contentsInto writes what is in t to a file that is there.
func (f *file) contentsInto(t *temp, to *os.File) error {
	if f.isSmall() {
		if _, err := to.Write(f.small); err != nil {
			return err
		}
		return f.cut(to)
	}
	from := t.f
	if t.name != "" {
		// It may be closed, and have permissions by which we can't open it.
		if err := t.d.root.Chmod(t.name, 0o600); err != nil {
			return err
		}
		again, err := t.d.root.Open(t.name)
		if err != nil {
			return err
		}
		defer again.Close()
		from = again
	}
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if f.holes > 0 {
		if err := to.Truncate(0); err != nil {
			return err
		}
	}
	c := f.r.checksum(f.Sparse)
	err := c.file(from, f.at, func(b []byte, n int64) error {
		var err error
		switch {
		case b != nil:
			_, err = to.Write(b)
		case f.holes > 0:
			_, err = to.Seek(n, io.SeekCurrent)
		default: // the file system has found zeros among the data
			err = zeros(to, n)
		}
		return err
	})
	if err == nil && !bytes.Equal(c.sum(), f.sum) {
		err = errChecksum
	}
	if err != nil {
		return err
	}
	return f.cut(to)
}

// cut gives a file that was written its length. Behind the last data there may be
// a hole, or what was there before. Files of /proc have no length that could be set.
func (f *file) cut(to *os.File) error {
	if f.holes == 0 {
		if info, err := to.Stat(); err == nil && info.Size() <= f.at {
			return nil
		}
	}
	return to.Truncate(f.at)
}

// settleDirect ends a file that was written into the target.
func (f *file) settleDirect(t *temp, base string) error {
	a := f.r.attributes(&f.entry)
	if t.way == inPlace {
		info, err := t.f.Stat()
		if err == nil {
			err = a.impose(t.f, info)
		}
		if err != nil {
			return err
		}
	}
	if f.r.o.Sync {
		// Most devices and no pipe can be asked for it.
		if err := t.f.Sync(); err != nil && t.way == inPlace {
			return err
		} else if err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	if t.way == inPlace && !a.mtime.IsZero() {
		if err := t.d.root.Chtimes(base, time.Time{}, a.mtime); err != nil {
			return err
		}
	}
	return t.close()
}
