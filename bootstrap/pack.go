package bootstrap

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/mitosis-go/mitosis/bootstrap/internal/deflate"
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

// codecFor is the codec for what the far side can unpack. zstd and gzip come to
// about the same size; zstd takes a third of the time here, and a fifth there.
// xz would pack a fifth better, but there is no packer for it in Go that is
// worth its time.
func codecFor(f *Facts) Codec {
	switch {
	case f.has("zstd"):
		return Zstd
	case f.has("gzip"):
		return Gzip
	}
	return Raw
}

// Chosen by size and time; docs/bootstrap.md has the numbers. An image is packed
// in the time in which a tool authenticates, by all processors, so that a level
// can be afforded that one processor alone would take too long for.
const (
	zstdLevel = zstd.SpeedBetterCompression
	leastPart = 512 << 10 // bytes; smaller parts cost more than they save
)

// pack compresses data, in parts that are packed at the same time.
func pack(c Codec, data []byte) ([]byte, error) {
	n := max(1, min(runtime.GOMAXPROCS(0), len(data)/leastPart))
	size := (len(data) + n - 1) / n
	parts := make([][]byte, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			from, to := min(i*size, len(data)), min((i+1)*size, len(data))
			if c == Zstd {
				parts[i], errs[i] = packZstd(data[from:to])
			} else {
				// As if all had been packed in one go: each part may refer to
				// the one before.
				parts[i] = deflate.Append(nil, data[:from], data[from:to], i == n-1)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	if c == Zstd {
		return bytes.Join(parts, nil), nil // frames in a row are a valid file
	}
	// RFC 1952: magic, deflate, no flags, no time, best packing, unknown system.
	out := append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255}, bytes.Join(parts, nil)...)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(data))
	return binary.LittleEndian.AppendUint32(out, uint32(len(data))), nil
}

func packZstd(data []byte) ([]byte, error) {
	// The window of the level is 16 MiB, and so much memory is taken twice
	// whatever the size of the data.
	window := max(zstd.MinWindowSize, 1<<bits.Len(uint(len(data))))
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstdLevel), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(min(window, zstd.MaxWindowSize)), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	defer w.Close()
	return w.EncodeAll(data, make([]byte, 0, len(data)/2)), nil
}
