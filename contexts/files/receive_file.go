package files

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"time"

	"github.com/mitosis-go/mitosis/contexts/files/internal/checksum"
	"github.com/mitosis-go/mitosis/contexts/files/internal/disk"
	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
)

// file is one that was announced and whose contents are still to come. Nothing
// is open for it before they do, so that many may wait.
type file struct {
	wire.Entry
	r    *receiver
	want wire.Verdict

	old *disk.Standing // what has its name; nil: nothing
	sum []byte         // of all of it, as the sender says; nil: not come yet

	small  []byte           // contents, if the file is small
	memory *[smallFile]byte // of small; nil: none has come
	dir    *disk.Dir        // held with output
	base   string
	output *disk.Output // where the contents are written, if not; nil: nothing has come
	at     int64        // how much has come, holes included
	holes  int64        // of it
}

// newFile decides what is needed of a file that was announced, and says so.
func (r *receiver) newFile(e *wire.Entry) error {
	if e.Size < -1 {
		return wire.ProtocolError("a size that makes no sense")
	}
	if err := r.account(e.Path, max(e.Size, 0)); err != nil {
		return err
	}
	if len(r.waiting) == announced {
		return wire.ProtocolError("too many files are announced")
	}
	d, base, err := r.entered.enter(r, e.Path)
	if err != nil {
		return err
	}
	f := &file{Entry: *e, r: r}
	r.done.Total += max(e.Size, 0)
	if !d.Made {
		if err := f.compare(d, base); err != nil {
			return err
		}
	}
	r.waiting = append(r.waiting, f)
	if err := r.out.Value(wire.RecVerdict, &f.want); err != nil {
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
	return r.out.Flush()
}

// compare looks at what is there.
func (f *file) compare(d *disk.Dir, base string) error {
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
	case old.Kind == disk.IsSpecial:
		f.want.Direct = true
		return nil
	case old.Kind == disk.IsFile:
		f.want.Direct = f.mustBeInPlace(d)
	}
	if old.Kind != disk.IsFile || f.Size <= 0 || old.Info.Size() != f.Size {
		return f.lookForPartial(d, base)
	}
	now, err := d.Root.OpenFile(base, os.O_RDONLY|disk.NoWait, 0)
	if err != nil {
		return f.lookForPartial(d, base) // it may be replaced all the same
	}
	defer now.Close()
	sum, err := f.sumOf(now, f.Size)
	switch {
	case err != nil:
		return f.lookForPartial(d, base) // somebody is writing it, or it is damaged
	case f.Sum == nil:
		f.want.Kind, f.want.Sum = wire.NeedUnlessSame, sum
	case bytes.Equal(sum, f.Sum):
		f.want.Kind, f.want.Sum = wire.NeedNothing, sum
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
	c := f.r.hasher(f.Sparse)
	err := c.File(now, size, nil)
	return c.Sum(), err
}

// checksum begins a checksum. The one before must have been taken.
func (r *receiver) hasher(sparse bool) *checksum.Hasher {
	if r.sum == nil {
		r.sum = checksum.New()
	}
	r.sum.Reset(sparse)
	return r.sum
}

// mayResume reports whether what comes of the file is kept if it is
// interrupted.
func (f *file) mayResume(d *disk.Dir) bool {
	return f.r.o.Resume && f.Size >= disk.MinPartial && !f.Sparse && !f.want.Direct && d.Stuck() == nil
}

// lookForPartial looks for what came of the file earlier.
func (f *file) lookForPartial(d *disk.Dir, base string) error {
	if !f.mayResume(d) {
		return nil
	}
	t, info := disk.FindPartial(d, base)
	if t == nil {
		return nil
	}
	defer t.File.Close()
	have := info.Size()
	if have == 0 || have > f.Size || time.Since(info.ModTime()) > disk.MaxPartialAge {
		return nil
	}
	sum, err := f.sumOf(t.File, have)
	if err == nil {
		f.want.Kind, f.want.Offset, f.want.Sum = wire.NeedRest, have, sum
	}
	return nil
}
