package bootstrap

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"runtime"
	"sync"

	"github.com/mitosis-go/mitosis/bootstrap/internal/deflate"
	"github.com/mitosis-go/mitosis/bootstrap/internal/zstd"
)

// Codec is a compression that an image can travel in.
type Codec uint8

// The codecs, the fastest to unpack last.
const (
	Raw Codec = iota
	Gzip
	Zstd
	codecs
)

// String returns the name of the program that unpacks it, or "raw".
func (c Codec) String() string { return [...]string{"raw", "gzip", "zstd"}[c] }

// command unpacks standard input at the far side.
func (c Codec) command() string { return [...]string{"", "gzip -dc", "zstd -dcq"}[c] }

// codecFor is the codec for what the far side can unpack. zstd is a tenth
// smaller than gzip, takes the same time here, and a fifth of it there. xz would
// pack better still, but there is no packer for it in Go that is worth its time.
func codecFor(f *Facts) Codec {
	switch {
	case f.has("zstd"):
		return Zstd
	case f.has("gzip"):
		return Gzip
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
			room := make([]byte, 0, (to-from)/3) // growing would leave several times as much behind
			if c == Zstd {
				parts[i] = zstd.Append(room, data[:to], from, i == n-1, hurry)
			} else {
				parts[i] = deflate.Append(room, data[:to], from, i == n-1, hurry)
			}
		})
	}
	wg.Wait()
	if c == Zstd {
		return append(zstd.AppendHeader(nil, len(data)), bytes.Join(parts, nil)...)
	}
	// RFC 1952: magic, deflate, no flags, no time, best packing, unknown system.
	out := append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255}, bytes.Join(parts, nil)...)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(data))
	return binary.LittleEndian.AppendUint32(out, uint32(len(data)))
}
