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

// file is a file that was announced and is not complete. It takes no descriptor before
// its contents come, so that many files may wait.
type file struct {
	wire.Entry
	r    *receiver
	want wire.Verdict

	old *disk.Standing // the file that has its name; nil: none
	sum []byte         // of all contents, from the sender; nil: it has not come yet

	small  []byte           // contents of a small file
	memory *[smallFile]byte // of small; nil: no contents have come
	dir    *disk.Dir        // held with output
	base   string
	output *disk.Output // contents of a file that is not small; nil: none have come
	at     int64        // bytes that have come, holes included
	holes  int64        // bytes of these that are holes
}

// newFile decides which part of a file that was announced is needed, and sends the
// verdict.
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
	// A sender that never pauses can only go on with these.
	if r.unsaid++; r.unsaid < verdictsTogether {
		return nil
	}
	return r.flush()
}

// verdictsTogether is how many verdicts are sent at once, at most.
const verdictsTogether = announced / 16

func (r *receiver) flush() error {
	r.unsaid = 0
	return r.out.Flush()
}

// compare looks at the file that has the name of the target.
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
		return f.lookForPartial(d, base) // we can't read it, but perhaps replace it
	}
	defer now.Close()
	sum, err := f.sumOf(now, f.Size)
	switch {
	case err != nil:
		return f.lookForPartial(d, base) // another process writes it, or it is damaged
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

// hasher begins a checksum. The sum of the one before is lost.
func (r *receiver) hasher(sparse bool) *checksum.Hasher {
	if r.sum == nil {
		r.sum = checksum.New()
	}
	r.sum.Reset(sparse)
	return r.sum
}

// mayResume reports whether the received part of the file is kept if the copy is
// interrupted.
func (f *file) mayResume(d *disk.Dir) bool {
	return f.r.o.Resume && f.Size >= disk.MinPartial && !f.Sparse && !f.want.Direct && d.Stuck() == nil
}

// lookForPartial looks for a part of the file that an earlier copy has left.
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
