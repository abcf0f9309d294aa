package files

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"sync"
)

// maxHashedHoles is how many bytes of holes are hashed as the zeros that they
// stand for: a quarter of a second's work at most. A file with more is sparse
// in the sense of this package.
const maxHashedHoles = 256 << 20

// blocksAhead is how many blocks of a file may wait to be hashed while others
// are read and written.
const blocksAhead = 4

// checksum computes the SHA-256 of a file in a goroutine of its own, beside
// the reading and writing of it.
//
// The checksum of a sparse file is the SHA-256 of two others: that of its data,
// and that of the places of its holes. So both sides can be sure to have the
// same file without hashing gigabytes of zeros.
type checksum struct {
	// Immutable.
	sparse bool
	free   chan []byte // capacity blocksAhead; blocks that nobody uses
	work   chan []byte // capacity blocksAhead; from add to the goroutine; closed by close
	idle   chan struct{}

	// Owned by the goroutine, and by who has waited for it.
	data hash.Hash

	// Owned by the caller.
	holes hash.Hash
	at    int64
}

func newChecksum() *checksum {
	c := &checksum{
		free: make(chan []byte, blocksAhead), work: make(chan []byte, blocksAhead), idle: make(chan struct{}),
		data: sha256.New(), holes: sha256.New(),
	}
	for range blocksAhead {
		c.free <- make([]byte, blockSize)
	}
	go c.run()
	return c
}

func (c *checksum) run() {
	defer close(c.idle)
	for b := range c.work {
		c.data.Write(b)
		c.free <- b[:blockSize]
	}
}

// close ends the goroutine.
func (c *checksum) close() {
	close(c.work)
	<-c.idle
}

// reset begins another file.
func (c *checksum) reset(sparse bool) {
	c.wait()
	c.sparse, c.at = sparse, 0
	c.data.Reset()
	c.holes.Reset()
}

// block returns a block to be filled and then added. It waits until one is
// hashed.
func (c *checksum) block() []byte { return <-c.free }

// add counts the next bytes of the file in. They are the beginning of what
// block returned, and may still be read until block is called again.
func (c *checksum) add(b []byte) {
	c.at += int64(len(b))
	c.work <- b
}

// unused gives a block back.
func (c *checksum) unused(b []byte) { c.free <- b[:blockSize] }

// hole counts in that the next n bytes are zeros which take no place.
func (c *checksum) hole(n int64) {
	if c.sparse {
		var place [16]byte
		binary.BigEndian.PutUint64(place[:8], uint64(c.at))
		binary.BigEndian.PutUint64(place[8:], uint64(n))
		c.holes.Write(place[:])
		c.at += n
		return
	}
	for n > 0 {
		b := c.block()
		b = b[:min(n, blockSize)]
		clear(b)
		c.add(b)
		n -= int64(len(b))
	}
}

// wait waits until all that was added is hashed.
func (c *checksum) wait() {
	var all [blocksAhead][]byte
	for i := range all {
		all[i] = <-c.free
	}
	for _, b := range all {
		c.free <- b
	}
}

// sum returns the checksum of what was added so far.
func (c *checksum) sum() []byte {
	c.wait()
	if !c.sparse {
		return c.data.Sum(nil)
	}
	both := sha256.Sum256(append(c.data.Sum(nil), c.holes.Sum(nil)...))
	return both[:]
}

// file adds the bytes of f from the current place up to end. each, where it
// is not nil, gets every block (with n its length) and every hole (with b nil).
func (c *checksum) file(f *os.File, end int64, each func(b []byte, n int64) error) error {
	if each == nil {
		each = func([]byte, int64) error { return nil }
	}
	for from, to := range extents(f, c.at, end) {
		if gap := from - c.at; gap > 0 {
			c.hole(gap)
			if err := each(nil, gap); err != nil {
				return err
			}
		}
		if _, err := f.Seek(from, io.SeekStart); err != nil {
			return err
		}
		if err := c.reader(f, to-from, each); err != nil {
			return err
		}
	}
	if gap := end - c.at; gap > 0 {
		c.hole(gap)
		return each(nil, gap)
	}
	return nil
}

// reader adds the next n bytes of r, of which there must be so many; or all
// that there are, if n is negative.
func (c *checksum) reader(r io.Reader, n int64, each func(b []byte, n int64) error) error {
	for n != 0 {
		b := c.block()
		if n > 0 {
			b = b[:min(n, blockSize)]
		}
		got, err := io.ReadFull(r, b)
		end := n < 0 && (err == io.EOF || err == io.ErrUnexpectedEOF)
		if err != nil && !end {
			c.unused(b)
			return unexpected(err)
		}
		if got == 0 {
			c.unused(b)
			return nil
		}
		b = b[:got]
		c.add(b)
		if err := each(b, int64(got)); err != nil {
			return err
		}
		if end {
			return nil
		}
		if n > 0 {
			n -= int64(got)
		}
	}
	return nil
}

// smallSum is the checksum of a file that is in memory as a whole: its SHA-256;
// or, where nobody asked for that, its CRC-32C (RFC 3720), which takes a tenth
// of the time and is there to find our own mistakes: links don't lose bytes.
func smallSum(b []byte, quick bool) []byte {
	if quick {
		return binary.BigEndian.AppendUint32(nil, crc32.Checksum(b, castagnoli()))
	}
	sum := sha256.Sum256(b)
	return sum[:]
}

var castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })
