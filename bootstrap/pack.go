package bootstrap

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"runtime"
	"sync"

	"github.com/mitosis-go/mitosis/bootstrap/internal/deflate"
	"github.com/mitosis-go/mitosis/bootstrap/internal/xz"
	"github.com/mitosis-go/mitosis/bootstrap/internal/zstd"
)

// Codec is a compression that an image can travel in.
type Codec uint8

// The codecs.
const (
	Raw Codec = iota
	Gzip
	Zstd
	XZ
	codecs
)

// String returns the name of the program that unpacks it, or "raw".
func (c Codec) String() string { return [...]string{"raw", "gzip", "zstd", "xz"}[c] }

// command unpacks standard input at the far side.
func (c Codec) command() string { return [...]string{"", "gzip -dc", "zstd -dcq", "xz -dc"}[c] }

// largestXZ is the largest image that is packed as xz where there is a choice, in
// bytes: it takes 0.6 s of a processor for each megabyte.
const largestXZ = 16 << 20

// worthXZ tells whether an image of so many bytes is packed as xz where the far side
// has that and others.
func worthXZ(size int64, slow bool) bool { return slow && size <= largestXZ }

// codecFor is the codec for an image of so many bytes and what the far side can
// unpack. zstd is a tenth smaller than gzip, takes the same time here, and a fifth of it
// there. xz is a tenth smaller still, and is unpacked at 35 to 50 MB/s: it is for a slow
// way.
func codecFor(f *Facts, size int64, slow bool) Codec {
	switch {
	case worthXZ(size, slow) && f.has("xz"):
		return XZ
	case f.has("zstd"):
		return Zstd
	case f.has("gzip"):
		return Gzip
	case f.has("xz"):
		return XZ
	}
	return Raw
}

// leastPart is in bytes; smaller parts cost more than they save.
const leastPart = 512 << 10

// pack compresses data, in parts that are packed at the same time, as if all had
// been packed in one go: each may refer to those before. In a hurry zstd takes a
// quarter of its time, and the result is an eighth larger; gzip takes less than half, and
// its result is a fiftieth larger.
func pack(c Codec, data []byte, hurry bool) []byte {
	n := max(1, min(runtime.GOMAXPROCS(0), len(data)/leastPart))
	size := (len(data) + n - 1) / n
	parts := make([][]byte, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			from, to := min(i*size, len(data)), min((i+1)*size, len(data))
			switch c {
			case XZ:
				parts[i] = xz.Append(nil, data[:to], from)
			case Zstd:
				parts[i] = zstd.Append(nil, data[:to], from, i == n-1, hurry)
			default:
				parts[i] = deflate.Append(nil, data[:to], from, i == n-1, hurry)
			}
		})
	}
	wg.Wait()
	packed := bytes.Join(parts, nil)
	switch c {
	case XZ:
		return xz.AppendFooter(append(xz.AppendHeader(nil), packed...), data, len(packed))
	case Zstd:
		return append(zstd.AppendHeader(nil, len(data)), packed...)
	}
	// RFC 1952: magic, deflate, no flags, no time, best packing, unknown system.
	out := append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255}, packed...)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(data))
	return binary.LittleEndian.AppendUint32(out, uint32(len(data)))
}
