package files

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"time"
)

// file is one that was announced and whose contents are still to come. Nothing
// is open for it before they do, so that many may wait.
type file struct {
	entry
	r    *receiver
	want verdict

	old *standing // what has its name; nil: nothing
	sum []byte    // of all of it, as the sender says; nil: not come yet

	small  []byte           // contents, if the file is small
	memory *[smallFile]byte // of small; nil: none has come
	dir    *dir             // held with temp
	base   string
	temp   *temp // where the contents are written, if not; nil: nothing has come
	at     int64 // how much has come, holes included
	holes  int64 // of it
}

// newFile decides what is needed of a file that was announced, and says so.
func (r *receiver) newFile(e *entry) error {
	if e.Size < -1 {
		return protocolError("a size that makes no sense")
	}
	if err := r.account(e.Path, max(e.Size, 0)); err != nil {
		return err
	}
	if len(r.waiting) == announced {
		return protocolError("too many files are announced")
	}
	d, base, err := r.entered.enter(r, e.Path)
	if err != nil {
		return err
	}
	f := &file{entry: *e, r: r}
	r.done.Total += max(e.Size, 0)
	if !d.made {
		if err := f.compare(d, base); err != nil {
			return err
		}
	}
	r.waiting = append(r.waiting, f)
	if err := r.out.value(recVerdict, &f.want); err != nil {
		return err
	}
	// A sender that never pauses needs answers, too, to go on.
	if r.unsaid++; r.unsaid < verdictsTogether {
		return nil
	}
	return r.flush()
}

// verdictsTogether is how many verdicts are sent at once at the most.
const verdictsTogether = announced / 16

func (r *receiver) flush() error {
	r.unsaid = 0
	return r.out.flush()
}

// compare looks at what is there.
func (f *file) compare(d *dir, base string) error {
	if f.r.descriptor >= 0 {
		f.want.Direct = true
		return nil
	}
	old, err := f.r.find(d, base)
	f.old = old
	switch {
	case err != nil:
		return err
	case old == nil:
		return f.lookForPartial(d, base)
	case old.kind == standsSpecial:
		f.want.Direct = true
		return nil
	case old.kind == standsFile:
		f.want.Direct = f.mustBeInPlace(d)
	}
	if old.kind != standsFile || f.Size <= 0 || old.info.Size() != f.Size {
		return f.lookForPartial(d, base)
	}
	now, err := d.root.OpenFile(base, os.O_RDONLY|openCalmly, 0)
	if err != nil {
		return f.lookForPartial(d, base) // it may be replaced all the same
	}
	defer now.Close()
	sum, err := f.sumOf(now, f.Size)
	switch {
	case err != nil:
		return f.lookForPartial(d, base) // somebody is writing it, or it is damaged
	case f.Sum == nil:
		f.want.Kind, f.want.Sum = needUnlessSame, sum
	case bytes.Equal(sum, f.Sum):
		f.want.Kind, f.want.Sum = needNothing, sum
	}
	return nil
}

// sumOf computes the checksum of the first bytes of a file here.
func (f *file) sumOf(now *os.File, size int64) ([]byte, error) {
	if size <= smallFile {
		b := make([]byte, size)
		_, err := io.ReadFull(now, b)
		sum := sha256.Sum256(b)
		return sum[:], err
	}
	c := f.r.checksum(f.Sparse)
	err := c.file(now, size, nil)
	return c.sum(), err
}

// checksum begins a checksum. The one before must have been taken.
func (r *receiver) checksum(sparse bool) *checksum {
	if r.sum == nil {
		r.sum = newChecksum()
	}
	r.sum.reset(sparse)
	return r.sum
}

// mayResume reports whether what comes of the file is kept if it is
// interrupted.
func (f *file) mayResume(d *dir) bool {
	return f.r.o.Resume && f.Size >= minPartial && !f.Sparse && !f.want.Direct && d.stuck() == nil
}

// lookForPartial looks for what came of the file earlier.
func (f *file) lookForPartial(d *dir, base string) error {
	if !f.mayResume(d) {
		return nil
	}
	t, info := findPartial(d, base)
	if t == nil {
		return nil
	}
	defer t.f.Close()
	have := info.Size()
	if have == 0 || have > f.Size || time.Since(info.ModTime()) > maxPartialAge {
		return nil
	}
	sum, err := f.sumOf(t.f, have)
	if err == nil {
		f.want.Kind, f.want.Offset, f.want.Sum = needRest, have, sum
	}
	return nil
}
