// Package checksum computes the checksums by which the two ends of a copy know that
// they have the same file, beside the reading and writing of it.
package checksum

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"sync"

	"github.com/mitosis-go/mitosis/contexts/files/internal/disk"
	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
)

// MaxHoles is how many bytes of holes are hashed as the zeros that they stand for,
// which takes a quarter of a second at most. A file with more is called sparse.
const MaxHoles = 256 << 20

// blocksAhead is how many blocks of a file may wait to be hashed while others
// are read and written.
const blocksAhead = 4

// Hasher computes the SHA-256 of one file after another in a goroutine of its own,
// which ends in Close. One goroutine at a time may call its methods.
//
// The checksum of a sparse file is the SHA-256 of two others: one of its data, and
// one of the places of its holes. Both sides can tell by it that they have the same
// file, without hashing gigabytes of zeros.
type Hasher struct {
	// Immutable.
	free  chan []byte   // blocks that are not in use; capacity blocksAhead; both sides send and receive
	work  chan []byte   // blocks to be hashed; capacity blocksAhead; sent by Add, closed by Close
	ended chan struct{} // closed by loop when it ends

	// Owned by loop while it has blocks; by the caller after wait.
	data hash.Hash

	// Owned by the caller.
	sparse bool
	holes  hash.Hash
	at     int64 // bytes that were added, holes included
}

// New starts a hasher. The caller must call Close.
func New() *Hasher {
	c := &Hasher{
		free: make(chan []byte, blocksAhead), work: make(chan []byte, blocksAhead), ended: make(chan struct{}),
		data: sha256.New(), holes: sha256.New(),
	}
	for range blocksAhead {
		c.free <- make([]byte, wire.BlockSize)
	}
	go c.loop()
	return c
}

// loop hashes blocks until Close.
func (c *Hasher) loop() {
	defer close(c.ended)
	for b := range c.work {
		c.data.Write(b)
		c.free <- b[:wire.BlockSize]
	}
}

// Close ends the goroutine and waits for it.
func (c *Hasher) Close() {
	close(c.work)
	<-c.ended
}

// Reset begins another file.
func (c *Hasher) Reset(sparse bool) {
	c.wait()
	c.sparse, c.at = sparse, 0
	c.data.Reset()
	c.holes.Reset()
}

// Block returns a block of wire.BlockSize bytes, to be filled and given to Add or
// Unused. It waits until one is hashed.
func (c *Hasher) Block() []byte { return <-c.free }

// Add adds the next bytes of the file: the beginning of a block that Block returned.
// The caller may still read them until it calls Block again.
func (c *Hasher) Add(b []byte) {
	c.at += int64(len(b))
	c.work <- b
}

// Unused gives a block back that was not added.
func (c *Hasher) Unused(b []byte) { c.free <- b[:wire.BlockSize] }

// Hole adds n bytes of a hole.
func (c *Hasher) Hole(n int64) {
	if c.sparse {
		var place [16]byte
		binary.BigEndian.PutUint64(place[:8], uint64(c.at))
		binary.BigEndian.PutUint64(place[8:], uint64(n))
		c.holes.Write(place[:])
		c.at += n
		return
	}
	for n > 0 {
		b := c.Block()
		b = b[:min(n, wire.BlockSize)]
		clear(b)
		c.Add(b)
		n -= int64(len(b))
	}
}

// wait waits until every block that was added is hashed.
func (c *Hasher) wait() {
	var all [blocksAhead][]byte
	for i := range all {
		all[i] = <-c.free
	}
	for _, b := range all {
		c.free <- b
	}
}

// Sum returns the checksum of the bytes that were added since Reset.
func (c *Hasher) Sum() []byte {
	c.wait()
	if !c.sparse {
		return c.data.Sum(nil)
	}
	both := sha256.Sum256(append(c.data.Sum(nil), c.holes.Sum(nil)...))
	return both[:]
}

// File adds the bytes of f from those that were added already up to end. Where each
// is not nil, it is called with every block, of n bytes, and with every hole, for
// which b is nil.
func (c *Hasher) File(f *os.File, end int64, each func(b []byte, n int64) error) error {
	if each == nil {
		each = func([]byte, int64) error { return nil }
	}
	for from, to := range disk.Extents(f, c.at, end) {
		if gap := from - c.at; gap > 0 {
			c.Hole(gap)
			if err := each(nil, gap); err != nil {
				return err
			}
		}
		if _, err := f.Seek(from, io.SeekStart); err != nil {
			return err
		}
		if err := c.Reader(f, to-from, each); err != nil {
			return err
		}
	}
	if gap := end - c.at; gap > 0 {
		c.Hole(gap)
		return each(nil, gap)
	}
	return nil
}

// Reader adds the next n bytes of r, or all bytes up to its end if n is negative. It
// is io.ErrUnexpectedEOF if r has fewer than n. Each block is given to each, too.
func (c *Hasher) Reader(r io.Reader, n int64, each func(b []byte, n int64) error) error {
	for n != 0 {
		b := c.Block()
		if n > 0 {
			b = b[:min(n, wire.BlockSize)]
		}
		got, err := io.ReadFull(r, b)
		end := n < 0 && (err == io.EOF || err == io.ErrUnexpectedEOF)
		if err != nil && !end {
			c.Unused(b)
			return wire.Unexpected(err)
		}
		if got == 0 {
			c.Unused(b)
			return nil
		}
		b = b[:got]
		c.Add(b)
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

// Small returns the checksum of a file that is in memory as a whole: its SHA-256, or
// its CRC-32C (RFC 3720) if quick is set. That takes a tenth of the time, and is
// enough where only our own mistakes are to be found, as links don't lose bytes.
func Small(b []byte, quick bool) []byte {
	if quick {
		return binary.BigEndian.AppendUint32(nil, crc32.Checksum(b, castagnoli()))
	}
	sum := sha256.Sum256(b)
	return sum[:]
}

var castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })

// IsSparse reports whether a file of so many bytes has more than MaxHoles of holes.
func IsSparse(f *os.File, size int64) bool {
	if size <= MaxHoles || !disk.MayHaveHoles(f, size) {
		return false
	}
	data := int64(0)
	for from, to := range disk.Extents(f, 0, size) {
		if data += to - from; size-data <= MaxHoles {
			return false
		}
	}
	return true
}
