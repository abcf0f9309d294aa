package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/mitosis-go/mitosis/contexts/files/internal/checksum"
	"github.com/mitosis-go/mitosis/contexts/files/internal/disk"
	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
)

// isSmall reports whether the contents are gathered in memory.
func (f *file) isSmall() bool { return f.Size >= 0 && f.Size <= smallFile }

// grow counts contents, and returns an error if they are more than was announced.
func (f *file) grow(n int64) error {
	f.at += n
	switch {
	case f.Size < 0:
		if err := f.r.account(f.Path, n); err != nil {
			return err
		}
	case n <= 0 || f.at > f.Size:
		return wire.ProtocolError("contents that were not announced")
	}
	f.r.progress(f.Path, n)
	return nil
}

// open opens the file that contents are written to. It continues the first have bytes
// that an earlier copy has left.
func (f *file) open(have int64) error {
	d, base, err := f.r.written.enter(f.r, f.Path)
	if err != nil {
		return err
	}
	f.dir, f.base = d.Hold(), base
	if f.mayResume(d) {
		f.output = disk.OpenPartial(d, base, have)
	}
	if f.output == nil && have > 0 {
		return fmt.Errorf("%w: another process has changed the part that was kept; copy again", fs.ErrExist)
	}
	if f.output == nil {
		if f.output, err = f.openOutput(d, base); err != nil {
			return err
		}
	}
	c := f.r.hasher(f.Sparse)
	if have == 0 {
		return nil
	}
	if err := c.File(f.output.File, have, nil); err != nil {
		return err
	}
	_, err = f.output.File.Seek(have, io.SeekStart)
	return err
}

// smallBuffers are *[smallFile]byte.
var smallBuffers = sync.Pool{New: func() any { return new([smallFile]byte) }}

// data receives a block of contents.
func (f *file) data(size int) error {
	if err := f.grow(int64(size)); err != nil {
		return err
	}
	f.r.res.Sent += int64(size)
	if f.isSmall() {
		if f.memory == nil {
			f.memory = smallBuffers.Get().(*[smallFile]byte)
			f.small = f.memory[:0]
		}
		at := len(f.small)
		f.small = f.small[:at+size]
		return f.r.in.Fill(f.small[at:])
	}
	if f.output == nil {
		if err := f.open(0); err != nil {
			return f.fail(err)
		}
	}
	b := f.r.sum.Block()[:size]
	if err := f.r.in.Fill(b); err != nil {
		f.r.sum.Unused(b)
		return err
	}
	f.r.sum.Add(b)
	f.begun(f.output)
	_, err := f.output.File.Write(b)
	return f.fail(err)
}

// hole receives the length of a hole.
func (f *file) hole(size int) error {
	n, err := f.r.in.Number(size)
	if err != nil {
		return err
	}
	if f.Size < 0 || f.isSmall() {
		return wire.ProtocolError("a hole in a file that has none")
	}
	if err := f.grow(n); err != nil {
		return err
	}
	first := f.holes == 0
	if f.holes += n; !f.Sparse && f.holes > checksum.MaxHoles {
		return wire.ProtocolError("more holes than the file was said to have")
	}
	if f.output == nil {
		if err := f.open(0); err != nil {
			return f.fail(err)
		}
	}
	f.r.sum.Hole(n)
	f.begun(f.output)
	if f.output.Placement == disk.IntoSpecial {
		return f.fail(disk.WriteZeros(f.output.File, n))
	}
	if first && f.output.Placement == disk.InPlace {
		// The old contents must not show through the hole.
		if err := f.output.File.Truncate(f.at - n); err != nil {
			return f.fail(err)
		}
	}
	_, err = f.output.File.Seek(n, io.SeekCurrent)
	return f.fail(err)
}

// resume receives the number of bytes of the kept part that the sender has, too.
func (f *file) resume(size int) error {
	n, err := f.r.in.Number(size)
	if err != nil {
		return err
	}
	if f.want.Kind != wire.NeedRest || f.output != nil || n != 0 && n != f.want.Offset {
		return wire.ProtocolError("an offset that was not asked for")
	}
	f.at = n
	f.r.progress(f.Path, n)
	return f.fail(f.open(n))
}

// finish receives the checksum, and gives the file its name.
func (f *file) finish(size int) error {
	sum, err := f.r.in.Body(size)
	if err != nil {
		return err
	}
	if f.Size >= 0 && f.at != f.Size {
		return wire.ProtocolError("a file is shorter than announced")
	}
	f.sum = sum
	f.r.count(f, sum)
	if f.isSmall() {
		return f.writeSmall()
	}
	if f.output == nil { // no contents came: it is empty
		if err := f.open(0); err != nil {
			return f.fail(err)
		}
	}
	if !bytes.Equal(sum, f.r.sum.Sum()) {
		f.output.Kept = false
		return f.fail(errChecksum)
	}
	f.begun(f.output)
	if f.output.Placement != disk.IntoSpecial {
		err = disk.Cut(f.output.File, f.at, f.holes > 0)
	}
	if err == nil {
		err = f.settle(f.output, f.base)
	}
	if err != nil {
		return f.fail(err)
	}
	f.r.torn = nil
	f.output = nil
	f.dir.Release()
	return nil
}

var errChecksum = errors.New("the checksum is wrong: perhaps the file changed while it was copied; copy again")

// writeSmall adds the job that writes a small file.
func (f *file) writeSmall() error {
	d, base, err := f.r.written.enter(f.r, f.Path)
	if err != nil {
		return f.fail(err)
	}
	d.Hold()
	f.r.jobs.add(func() error {
		defer d.Release()
		defer func() {
			if f.memory != nil {
				smallBuffers.Put(f.memory)
			}
		}()
		if !bytes.Equal(f.sum, checksum.Small(f.small, f.r.tree && f.want.Kind == wire.NeedAll)) {
			return f.fail(errChecksum)
		}
		t, err := f.openOutput(d, base)
		if err != nil {
			return f.fail(err)
		}
		if _, err = t.File.Write(f.small); err == nil && t.Placement == disk.InPlace {
			err = disk.Cut(t.File, f.at, f.holes > 0)
		}
		if err == nil {
			err = f.settle(t, base)
		}
		if err != nil {
			t.Discard()
		}
		if err != nil && t.Placement != disk.Aside {
			return f.r.incomplete(f.Path, err)
		}
		return f.fail(err)
	})
	return nil
}

// same receives that the file that is there is the same.
func (f *file) same(size int) error {
	if size != 0 || f.want.Kind != wire.NeedUnlessSame && f.want.Kind != wire.NeedNothing {
		return wire.ProtocolError("a file is said to be the same that was not compared")
	}
	f.at = f.Size
	f.r.progress(f.Path, f.Size)
	f.r.count(f, f.want.Sum)
	d, base, err := f.r.written.enter(f.r, f.Path)
	if err == nil {
		err = f.r.attributes(&f.Entry).SetFile(d, base)
	}
	return f.fail(err)
}

// count adds a file to the result.
func (r *receiver) count(f *file, sum []byte) {
	r.res.Files++
	r.res.Size += f.at
	if !r.tree && !f.Sparse {
		copy(r.res.SHA256[:], sum)
	}
}

// abandon gives up a file that is not complete.
func (f *file) abandon() {
	if f.output != nil {
		f.output.Abandon()
	}
	f.dir.Release()
}

func (f *file) fail(err error) error { return f.r.failure(f.Path, err) }
