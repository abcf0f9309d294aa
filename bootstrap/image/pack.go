package image

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// A Codec is the compression of a packed image.
type Codec uint8

// The codecs.
const (
	Raw Codec = iota
	Gzip
	Zstd
	Xz // only of images that were packed ahead of time
	codecs
)

// String returns the name of the program that unpacks it, or "raw".
func (c Codec) String() string { return [...]string{"raw", "gzip", "zstd", "xz"}[c] }

// UnpackCommand returns the command that unpacks standard input at the far side.
func (c Codec) UnpackCommand() string { return [...]string{"", "gzip -dc", "zstd -dcq", "xz -dcq"}[c] }

// An effort says how hard packing tries. fast is for an image that a connect waits
// for: it takes a tenth of a second of one processor. best takes about half a
// second, and its result is 3 % smaller with gzip and 6 % with zstd.
type effort uint8

const (
	fast effort = iota
	best
)

// packPiece is the number of bytes that are packed in one turn. With best that takes about
// 10 ms.
const packPiece = 128 << 10

// pack compresses data. When ctx ends it returns early, with the cause.
func pack(ctx context.Context, c Codec, e effort, data []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := newPacker(c, e, &out)
	if err != nil {
		return nil, err
	}
	defer packing.enter(ctx, e)()
	for len(data) > 0 {
		n := min(len(data), packPiece)
		if err := packing.turn(ctx, e, func() error { _, err := w.Write(data[:n]); return err }); err != nil {
			return nil, err
		}
		data = data[n:]
	}
	if err := packing.turn(ctx, e, w.Close); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// zstdWindow bounds the memory of the far side's decoder, in bytes. Every decoder takes
// 8 MiB (RFC 8878).
const zstdWindow = 8 << 20

func newPacker(c Codec, e effort, w io.Writer) (io.WriteCloser, error) {
	if c == Xz {
		return nil, errors.New("this program can't pack xz: use cmd/pack, on a machine with xz")
	}
	if c == Gzip {
		level := 6
		if e == best {
			level = gzip.BestCompression
		}
		return gzip.NewWriterLevel(w, level)
	}
	level := zstd.SpeedBetterCompression
	if e == best {
		level = zstd.SpeedBestCompression
	}
	return zstd.NewWriter(w, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true))
}
