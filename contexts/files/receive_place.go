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

	"github.com/mitosis-go/mitosis/contexts/files/internal/disk"
)

// find looks at the file that has the name of a target. It returns nil where there is
// none, and an error where no file can be copied to.
func (r *receiver) find(d *disk.Dir, base string) (*disk.Standing, error) {
	s, err := disk.Find(d, base)
	switch {
	case s == nil || err != nil:
		return nil, err
	case s.Kind == disk.IsDir && !s.Symlink:
		return nil, syscall.EISDIR
	case r.o.NoReplace:
		return nil, fs.ErrExist
	case s.Kind == disk.IsDir:
		// The caller who names a symbolic link to a directory means the directory.
		return nil, syscall.EISDIR
	case s.Kind == disk.IsSpecial:
		return s, r.mayWriteInto(s)
	}
	return s, nil
}

// mayWriteInto returns why a file that is not regular is no target; nil if it is one.
func (r *receiver) mayWriteInto(s *disk.Standing) error {
	mode := s.Info.Mode()
	writable := mode&(fs.ModeDevice|fs.ModeNamedPipe) != 0
	if !writable || r.tree || r.o.NoSpecial {
		return fmt.Errorf("%w: it is %s", fs.ErrInvalid, disk.KindName(mode))
	}
	if s.Foreign {
		return disk.ErrForeign
	}
	return nil
}

// openDescriptor opens a descriptor of this process, which the target's name stands for.
func (r *receiver) openDescriptor() (*disk.Output, error) {
	if !r.descriptors {
		return nil, fmt.Errorf("%w: it is a descriptor of a process that is not yours", fs.ErrInvalid)
	}
	if r.o.NoSpecial {
		return nil, fmt.Errorf("%w: it is a descriptor", fs.ErrInvalid)
	}
	if r.o.NoReplace {
		return nil, fs.ErrExist
	}
	return disk.OpenDescriptor(r.descriptor, r.target, r.top, r.conn.Done())
}

// mayBeInPlace reports whether a file that is there may be written in place if
// it can't be replaced.
func (r *receiver) mayBeInPlace(old *disk.Standing) bool {
	return r.o.Overwrite == ReplaceOrInPlace && old != nil && old.Kind == disk.IsFile && !old.Foreign
}

// mustBeInPlace reports whether contents have to go into the file that is there
// as they come, because they can't be put aside.
func (f *file) mustBeInPlace(d *disk.Dir) bool {
	if f.r.o.Overwrite == InPlace {
		return !f.mayResume(d) // which has a file of its own beside the target
	}
	return f.r.mayBeInPlace(f.old) && d.Stuck() != nil
}

// openOutput opens the file that contents are written to, unless Resume keeps it.
func (f *file) openOutput(d *disk.Dir, base string) (*disk.Output, error) {
	switch {
	case f.r.descriptor >= 0:
		return f.r.openDescriptor()
	case f.old == nil || f.old.Kind == disk.IsSymlink:
		return disk.CreateOutput(d)
	case f.old.Kind == disk.IsSpecial:
		return disk.OpenSpecial(d, base, f.old, f.r.conn.Done())
	case f.r.o.Overwrite == InPlace:
		return f.openInPlace(d, base, f.old)
	}
	err := d.Stuck()
	if err == nil {
		var t *disk.Output
		if t, err = disk.CreateOutput(d); err == nil {
			return t, nil
		}
	}
	if !f.r.mayBeInPlace(f.old) || !disk.CannotReplace(err) {
		return nil, err
	}
	return f.insteadOf(d, base, f.old, err)
}

// insteadOf opens a file to be written in place because it can't be replaced.
func (f *file) insteadOf(d *disk.Dir, base string, old *disk.Standing, why error) (*disk.Output, error) {
	t, err := f.openInPlace(d, base, old)
	if err == nil {
		f.r.note(f.Path, NoteInPlace, disk.Reason(why).Error())
		return t, nil
	}
	why, err = disk.Reason(why), disk.Reason(err)
	if why.Error() == err.Error() {
		return nil, err
	}
	return nil, fmt.Errorf("%w; in place: %w", why, err)
}

// openInPlace opens a file that is there for the new contents.
func (f *file) openInPlace(d *disk.Dir, base string, old *disk.Standing) (*disk.Output, error) {
	room := max(f.Size, 0)
	if f.Sparse {
		room = 0
	}
	t, privileged, err := disk.OpenInPlace(d, base, old, room, f.r.attributes(&f.Entry))
	if err == nil {
		f.tell(disk.Loss{}, privileged)
	}
	return t, err
}

// begun notes that the target itself is being written, if it is.
func (f *file) begun(t *disk.Output) {
	if t.Placement != disk.Aside {
		f.r.torn = f
	}
}

// settle makes the target of t, to which all contents were written.
func (f *file) settle(t *disk.Output, base string) error {
	if t.Placement != disk.Aside {
		return f.finishDirect(t, base)
	}
	a := f.r.attributes(&f.Entry)
	sync := f.r.o.Sync
	if f.r.o.NoReplace {
		return t.Commit(base, a, false, sync)
	}
	var old *disk.Standing
	if !t.Dir.Made || t.Named() {
		var err error
		if old, err = f.r.find(t.Dir, base); err != nil {
			return err
		}
	}
	if old == nil {
		err := t.Commit(base, a, t.Named(), sync)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		// Another process has made it meanwhile.
		if old, err = f.r.find(t.Dir, base); err != nil || old == nil {
			return errors.Join(err, fs.ErrExist)
		}
	}
	switch {
	case old.Kind == disk.IsSpecial:
		return disk.ErrChanged
	case old.Kind == disk.IsSymlink || old.Foreign:
		err := t.Commit(base, a, true, sync)
		if err == nil && old.Kind == disk.IsSymlink {
			f.r.note(f.Path, NoteLinkReplaced, "")
		}
		return err
	case f.r.o.Overwrite == InPlace:
		in, err := f.openInPlace(t.Dir, base, old)
		if err != nil {
			return err
		}
		return f.pour(t, in, base)
	}
	return f.replace(t, base, old, a)
}

// replace puts t in the place of a regular file. Where that is impossible it writes the
// contents of t into the file, if it may.
func (f *file) replace(t *disk.Output, base string, old *disk.Standing, a disk.Attributes) error {
	lost, privileged, err := t.Inherit(base, old.Info, a)
	if err != nil {
		return err
	}
	if why := cmp.Or(lost.Owner, lost.ACL); why != nil && f.r.mayBeInPlace(old) {
		if in, err := f.openInPlace(t.Dir, base, old); err == nil {
			f.r.note(f.Path, NoteInPlace, why.Error())
			return f.pour(t, in, base)
		}
	}
	err = t.Appear(base, a, true, f.r.o.Sync)
	if err == nil {
		f.tell(lost, privileged)
	}
	if err == nil || !disk.CannotReplace(err) || !f.r.mayBeInPlace(old) {
		return err
	}
	in, err := f.insteadOf(t.Dir, base, old, err)
	if err != nil {
		return err
	}
	return f.pour(t, in, base)
}

// pour writes the contents of t, which are checked, into the target, and removes t.
func (f *file) pour(t, in *disk.Output, base string) error {
	err := f.contentsInto(t, in.File)
	if err == nil {
		err = f.finishDirect(in, base)
	}
	if err != nil {
		in.Discard()
		return f.r.incomplete(f.Path, err)
	}
	t.Discard()
	return nil
}

// contentsInto writes the contents of t to a file that is there.
func (f *file) contentsInto(t *disk.Output, to *os.File) error {
	if f.isSmall() {
		if _, err := to.Write(f.small); err != nil {
			return err
		}
		return disk.Cut(to, f.at, f.holes > 0)
	}
	from := t.File
	if t.Named() {
		again, err := t.Reopen()
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
	c := f.r.hasher(f.Sparse)
	err := c.File(from, f.at, func(b []byte, n int64) error {
		var err error
		switch {
		case b != nil:
			_, err = to.Write(b)
		case f.holes > 0:
			_, err = to.Seek(n, io.SeekCurrent)
		default: // the file system has found zeros among the data
			err = disk.WriteZeros(to, n)
		}
		return err
	})
	if err == nil && !bytes.Equal(c.Sum(), f.sum) {
		err = errChecksum
	}
	if err != nil {
		return err
	}
	return disk.Cut(to, f.at, f.holes > 0)
}

// finishDirect completes a file that was written into the target.
func (f *file) finishDirect(t *disk.Output, base string) error {
	return t.FinishDirect(base, f.r.attributes(&f.Entry), f.r.o.Sync)
}
