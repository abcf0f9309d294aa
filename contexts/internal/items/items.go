// Package items cuts streams into items: the values of a sequence, the orders and
// events of a command, the messages to a mailbox.
package items

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/mitosis-go/mitosis/core"
)

// An item is one byte with its kind, its length as a uvarint, and so many bytes.
const (
	Value = 0 // a value in CBOR
	Error = 1 // an encoded error; nothing follows
	End   = 2 // no bytes; nothing follows
)

// Append appends an item.
func Append(to []byte, kind byte, b []byte) []byte {
	to = append(to, kind)
	to = binary.AppendUvarint(to, uint64(len(b)))
	return append(to, b...)
}

// A Writer writes items.
type Writer struct {
	S   io.Writer
	buf []byte
}

func (w *Writer) write(kind byte, b []byte) error {
	w.buf = Append(w.buf[:0], kind, b)
	_, err := w.S.Write(w.buf)
	return err
}

// Value writes a value. One that can't be encoded becomes the error of the sequence.
func (w *Writer) Value(v any) error {
	b, err := core.Marshal(v)
	if err != nil {
		w.Fail(fmt.Errorf("the value cannot be encoded: %w", err))
		return err
	}
	return w.write(Value, b)
}

// Fail ends the sequence with an error.
func (w *Writer) Fail(err error) { _ = w.write(Error, core.EncodeError(err)) }

// WriteEnd ends it in order.
func (w *Writer) WriteEnd() { _ = w.write(End, nil) }

// Read reads one item of at most limit bytes. A stream that ends without an
// end item was cut.
func Read(r *bufio.Reader, limit uint64) (item []byte, last bool, err error) {
	k, n, err := ReadHead(r, limit)
	if err != nil {
		return nil, true, Unexpected(err)
	}
	if item, err = ReadBody(r, n); err != nil {
		return nil, true, err
	}
	switch k {
	case Value:
		return item, false, nil
	case Error:
		return nil, true, core.DecodeError(item)
	case End:
		return nil, true, nil
	}
	return nil, true, core.ErrProtocol
}

// ReadHead reads the kind and the length of an item. At the end of the stream it returns
// io.EOF.
func ReadHead(r *bufio.Reader, limit uint64) (kind byte, n uint64, err error) {
	if kind, err = r.ReadByte(); err != nil {
		return 0, 0, err
	}
	if n, err = binary.ReadUvarint(r); err != nil {
		return 0, 0, Unexpected(err)
	}
	if n > limit {
		return 0, 0, core.ErrTooLarge
	}
	return kind, n, nil
}

// ReadBody reads the bytes of an item. It takes memory as they arrive, and not as they are
// announced.
func ReadBody(r *bufio.Reader, n uint64) ([]byte, error) {
	item, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && uint64(len(item)) < n {
		err = io.ErrUnexpectedEOF
	}
	return item, err
}

// Unexpected makes an error of the end of a stream that should have gone on.
func Unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
