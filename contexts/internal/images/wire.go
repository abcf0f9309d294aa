package images

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/mitosis-go/mitosis/bootstrap/image"
	"github.com/mitosis-go/mitosis/core"
)

// An image travels as its SHA-256, the length of its gzip form, and that form.

// A Request asks the parent for an image.
type Request struct {
	_      struct{} `cbor:",toarray"`
	System System
	Static bool // the image must need no dynamic loader
}

const (
	headerSize = 32 + 8 // bytes
	// maxPacked bounds an image on its way, in bytes.
	maxPacked = 256 << 20
)

// Send finds an image for a child and writes it to w.
func (s *Store) Send(ctx context.Context, w io.Writer, r Request) error {
	source := s.Image
	if r.Static {
		source = s.Static
	}
	img, err := source(ctx, r.System.GOOS, r.System.GOARCH)
	if err != nil {
		return err
	}
	packed, err := img.Encoded(ctx, image.Gzip, s.cfg.Packed)
	if err != nil {
		return err
	}
	header := binary.BigEndian.AppendUint64(img.Hash[:], uint64(len(packed)))
	if _, err := w.Write(header); err != nil {
		return err
	}
	_, err = w.Write(packed)
	return err
}

// ask gets an image from the parent.
func (s *Store) ask(ctx context.Context, r Request) (*image.Image, error) {
	conn, err := s.cfg.Ask(ctx, r)
	if err != nil {
		return nil, withoutCall(err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	img, err := receive(conn, r.System)
	if err == nil {
		return img, nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return nil, fmt.Errorf("image %v from the parent: %w", r.System, withoutCall(err))
}

// receive reads the image that Send has written.
func receive(r io.Reader, sys System) (*image.Image, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint64(header[32:])
	if size > maxPacked {
		return nil, fmt.Errorf("%w: %d bytes", core.ErrTooLarge, size)
	}
	// Memory is taken for bytes that arrive, not for those that are announced.
	var packed bytes.Buffer
	if n, err := io.CopyN(&packed, r, int64(size)); err != nil {
		return nil, fmt.Errorf("%d of %d bytes: %w", n, size, err)
	}
	return image.Unpack(packed.Bytes(), sys.GOOS, sys.GOARCH, [32]byte(header[:32]))
}

// withoutCall takes off the words of the call to the parent.
func withoutCall(err error) error {
	if e, ok := err.(*core.Error); ok && e.Err != nil {
		return e.Err
	}
	return err
}
