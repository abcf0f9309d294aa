package wire

import (
	"bufio"
	"encoding/binary"
	"io"

	"github.com/mitosis-go/mitosis/core"
)

// The kinds of records. The comment of package files says which side sends them.
const (
	RecEntry   = 'E'
	RecVerdict = 'V'
	RecData    = 'D'
	RecHole    = 'H'
	RecOffset  = 'P'
	RecFinish  = 'F'
	RecSame    = 'S'
	RecEnd     = 'Z'
	RecResult  = 'R'
)

// BlockSize is the most data of one record, in bytes. Files are read, hashed and
// written in blocks of this size.
const BlockSize = 256 << 10

// MaxRecord bounds the body of any record of a copy, in bytes.
const MaxRecord = BlockSize

// Writer writes records. It is not safe for concurrent use.
type Writer struct {
	w    *bufio.Writer
	max  int // of the bytes of a body that is a value
	head []byte
}

// NewWriter returns a writer of the records of a copy.
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: bufio.NewWriterSize(w, core.MaxBody), max: MaxRecord}
}

// Record writes one record.
func (w *Writer) Record(kind byte, body []byte) error {
	w.head = binary.AppendUvarint(append(w.head[:0], kind), uint64(len(body)))
	if _, err := w.w.Write(w.head); err != nil {
		return err
	}
	_, err := w.w.Write(body)
	return err
}

// Number writes a record whose body is a number.
func (w *Writer) Number(kind byte, n int64) error {
	return w.Record(kind, binary.AppendUvarint(nil, uint64(n)))
}

// Value writes a record whose body is a value in CBOR.
func (w *Writer) Value(kind byte, v any) error {
	b, err := core.Marshal(v)
	if err == nil && len(b) > w.max {
		err = core.ErrTooLarge
	}
	if err != nil {
		return err
	}
	return w.Record(kind, b)
}

// Flush sends the records that are buffered.
func (w *Writer) Flush() error { return w.w.Flush() }

// Reader reads records. The caller reads the body of each before it calls Next
// again; a body takes no memory before that. It is not safe for concurrent use.
type Reader struct {
	r   *bufio.Reader
	max uint64 // of the bytes of a body
}

// NewReader returns a reader of the records of a copy.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, core.MaxBody), max: MaxRecord}
}

// Next returns the kind of the next record and the size of its body. A connection that
// ends here was cut, as both sides know which record is the last.
func (r *Reader) Next() (kind byte, size int, err error) {
	if kind, err = r.r.ReadByte(); err != nil {
		return 0, 0, Unexpected(err)
	}
	n, err := binary.ReadUvarint(r.r)
	if err != nil {
		return 0, 0, Unexpected(err)
	}
	if n > r.max {
		return 0, 0, ProtocolError("a record is too long")
	}
	return kind, int(n), nil
}

// Fill reads a body, or a part of one, into b.
func (r *Reader) Fill(b []byte) error {
	_, err := io.ReadFull(r.r, b)
	return Unexpected(err)
}

// Body reads a body of so many bytes.
func (r *Reader) Body(size int) ([]byte, error) {
	if size <= MaxRecord {
		b := make([]byte, size)
		return b, r.Fill(b)
	}
	// The peer may announce more than it sends: memory is taken as the bytes arrive.
	b, err := io.ReadAll(io.LimitReader(r.r, int64(size)))
	if err == nil && len(b) < size {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// Number reads a body that is one number. It fits an int64.
func (r *Reader) Number(size int) (int64, error) {
	b, err := r.Body(size)
	if err != nil {
		return 0, err
	}
	n, used := binary.Uvarint(b)
	if used != size || n > 1<<62 {
		return 0, ProtocolError("a number that makes no sense")
	}
	return int64(n), nil
}

// Value reads a body that is a value in CBOR into what v points to.
func (r *Reader) Value(size int, v any) error {
	b, err := r.Body(size)
	if err != nil {
		return err
	}
	if err := core.Unmarshal(b, v); err != nil {
		return ProtocolError("a record that can't be decoded: " + err.Error())
	}
	return nil
}

// MayWait reports whether the next read may have to wait for the other side.
func (r *Reader) MayWait() bool { return r.r.Buffered() == 0 }

// Unexpected returns err, with io.ErrUnexpectedEOF in place of io.EOF.
func Unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
