package files

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

// isSmall reports whether the contents are gathered in memory.
func (f *file) isSmall() bool { return f.Size >= 0 && f.Size <= smallFile }

// grow counts contents that have come.
func (f *file) grow(n int64) error {
	f.at += n
	switch {
	case f.Size < 0:
		if err := f.r.account(f.Path, n); err != nil {
			return err
		}
	case n <= 0 || f.at > f.Size:
		return protocolError("contents that were not announced")
	}
	f.r.progress(f.Path, n)
	return nil
}

// open makes the file that is written. Of what an earlier copy has left the
// first bytes are taken over.
func (f *file) open(have int64) error {
	d, base, err := f.r.written.enter(f.r, f.Path)
	if err != nil {
		return err
	}
	f.dir, f.base = d.hold(), base
	if f.mayResume(d) {
		f.temp = openPartial(d, base, have)
	}
	if f.temp == nil && have > 0 {
		return fmt.Errorf("%w: what was kept has changed", fs.ErrExist)
	}
	if f.temp == nil {
		if f.temp, err = f.openOutput(d, base); err != nil {
			return err
		}
	}
	c := f.r.checksum(f.Sparse)
	if have == 0 {
		return nil
	}
	if err := c.file(f.temp.f, have, nil); err != nil {
		return err
	}
	_, err = f.temp.f.Seek(have, io.SeekStart)
	return err
}

// smallBuffers are *[smallFile]byte.
var smallBuffers = sync.Pool{New: func() any { return new([smallFile]byte) }}

// data takes a block of contents.
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
		return f.r.in.fill(f.small[at:])
	}
	if f.temp == nil {
		if err := f.open(0); err != nil {
			return f.fail(err)
		}
	}
	b := f.r.sum.block()[:size]
	if err := f.r.in.fill(b); err != nil {
		f.r.sum.unused(b)
		return err
	}
	f.r.sum.add(b)
	f.begun(f.temp)
	_, err := f.temp.f.Write(b)
	return f.fail(err)
}

// hole takes the length of a piece without data.
func (f *file) hole(size int) error {
	n, err := f.r.in.number(size)
	if err != nil {
		return err
	}
	if f.Size < 0 || f.isSmall() {
		return protocolError("a hole in a file that has none")
	}
	if err := f.grow(n); err != nil {
		return err
	}
	first := f.holes == 0
	if f.holes += n; !f.Sparse && f.holes > maxHashedHoles {
		return protocolError("more holes than the file was said to have")
	}
	if f.temp == nil {
		if err := f.open(0); err != nil {
			return f.fail(err)
		}
	}
	f.r.sum.hole(n)
	f.begun(f.temp)
	if f.temp.way == intoSpecial {
		return f.fail(zeros(f.temp.f, n))
	}
	if first && f.temp.way == inPlace {
		// What is there is no hole.
		if err := f.temp.f.Truncate(f.at - n); err != nil {
			return f.fail(err)
		}
	}
	_, err = f.temp.f.Seek(n, io.SeekCurrent)
	return f.fail(err)
}

// resume takes how much of what is kept is what the sender has.
func (f *file) resume(size int) error {
	n, err := f.r.in.number(size)
	if err != nil {
		return err
	}
	if f.want.Kind != needRest || f.temp != nil || n != 0 && n != f.want.Offset {
		return protocolError("an offset that was not asked for")
	}
	f.at = n
	f.r.progress(f.Path, n)
	return f.fail(f.open(n))
}

// finish takes the checksum, and gives the file its name.
func (f *file) finish(size int) error {
	sum, err := f.r.in.body(size)
	if err != nil {
		return err
	}
	if f.Size >= 0 && f.at != f.Size {
		return protocolError("a file is shorter than announced")
	}
	f.sum = sum
	f.r.count(f, sum)
	if f.isSmall() {
		return f.writeSmall()
	}
	if f.temp == nil { // nothing came: it is empty
		if err := f.open(0); err != nil {
			return f.fail(err)
		}
	}
	if !bytes.Equal(sum, f.r.sum.sum()) {
		f.temp.kept = false
		return f.fail(errChecksum)
	}
	f.begun(f.temp)
	if f.temp.way != intoSpecial {
		err = f.cut(f.temp.f)
	}
	if err == nil {
		err = f.settle(f.temp, f.base)
	}
	if err != nil {
		return f.fail(err)
	}
	f.r.torn = nil
	f.temp = nil
	f.dir.release()
	return nil
}

const errChecksum = errText("the checksum is wrong")

// writeSmall has a file written whose contents are all there.
func (f *file) writeSmall() error {
	d, base, err := f.r.written.enter(f.r, f.Path)
	if err != nil {
		return f.fail(err)
	}
	d.hold()
	f.r.files.do(func() error {
		defer d.release()
		defer func() {
			if f.memory != nil {
				smallBuffers.Put(f.memory)
			}
		}()
		if !bytes.Equal(f.sum, smallSum(f.small, f.r.tree && f.want.Kind == needAll)) {
			return f.fail(errChecksum)
		}
		t, err := f.openOutput(d, base)
		if err != nil {
			return f.fail(err)
		}
		if _, err = t.f.Write(f.small); err == nil && t.way == inPlace {
			err = f.cut(t.f)
		}
		if err == nil {
			err = f.settle(t, base)
		}
		if err != nil {
			t.discard()
		}
		if err != nil && t.way != aside {
			return f.r.incomplete(f.Path, err)
		}
		return f.fail(err)
	})
	return nil
}

// same takes that what is there is what the sender has.
func (f *file) same(size int) error {
	if size != 0 || f.want.Kind != needUnlessSame && f.want.Kind != needNothing {
		return protocolError("a file is said to be the same that was not compared")
	}
	f.at = f.Size
	f.r.progress(f.Path, f.Size)
	f.r.count(f, f.want.Sum)
	d, base, err := f.r.written.enter(f.r, f.Path)
	if err == nil {
		err = f.r.complete(&f.entry, d, base)
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
	if f.temp != nil {
		f.temp.abandon()
	}
	f.dir.release()
}

func (f *file) fail(err error) error { return f.r.failure(f.Path, err) }
