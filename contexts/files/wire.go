package files

import (
	"bufio"
	"encoding/binary"
	"io"

	"github.com/mitosis-go/mitosis/core"
)

// The kinds of records; the package comment tells who sends which.
const (
	recEntry   = 'E'
	recVerdict = 'V'
	recData    = 'D'
	recHole    = 'H'
	recOffset  = 'P'
	recFinish  = 'F'
	recSame    = 'S'
	recEnd     = 'Z'
	recResult  = 'R'
)

// blockSize is the most data of one record, in bytes; it is the unit in which
// files are read, hashed and written.
const blockSize = 256 << 10

// maxRecord bounds the body of any record of a copy, in bytes.
const maxRecord = blockSize

// recordWriter writes records.
type recordWriter struct {
	w    *bufio.Writer
	max  int // of the bytes of a body that is a value
	head []byte
}

func newRecordWriter(w io.Writer) *recordWriter {
	return &recordWriter{w: bufio.NewWriterSize(w, core.MaxBody), max: maxRecord}
}

func (w *recordWriter) write(kind byte, body []byte) error {
	w.head = binary.AppendUvarint(append(w.head[:0], kind), uint64(len(body)))
	if _, err := w.w.Write(w.head); err != nil {
		return err
	}
	_, err := w.w.Write(body)
	return err
}

// number writes a record whose body is a number.
func (w *recordWriter) number(kind byte, n int64) error {
	return w.write(kind, binary.AppendUvarint(nil, uint64(n)))
}

// value writes a record whose body is a value in CBOR.
func (w *recordWriter) value(kind byte, v any) error {
	b, err := core.Marshal(v)
	if err == nil && len(b) > w.max {
		err = core.ErrTooLarge
	}
	if err != nil {
		return err
	}
	return w.write(kind, b)
}

func (w *recordWriter) flush() error { return w.w.Flush() }

// recordReader reads records. The body is to be read between two calls of
// next: it takes no memory before it is asked for.
type recordReader struct {
	r   *bufio.Reader
	max uint64 // of the bytes of a body
}

func newRecordReader(r io.Reader) *recordReader {
	return &recordReader{r: bufio.NewReaderSize(r, core.MaxBody), max: maxRecord}
}

// next returns the kind and the size of the next record. A connection that
// ends here was cut: both sides know when nothing more is to come.
func (r *recordReader) next() (kind byte, size int, err error) {
	if kind, err = r.r.ReadByte(); err != nil {
		return 0, 0, unexpected(err)
	}
	n, err := binary.ReadUvarint(r.r)
	if err != nil {
		return 0, 0, unexpected(err)
	}
	if n > r.max {
		return 0, 0, protocolError("a record is too long")
	}
	return kind, int(n), nil
}

func (r *recordReader) fill(b []byte) error {
	_, err := io.ReadFull(r.r, b)
	return unexpected(err)
}

func (r *recordReader) body(size int) ([]byte, error) {
	if size <= maxRecord {
		b := make([]byte, size)
		return b, r.fill(b)
	}
	// So much memory is taken as the bytes arrive, not as they are announced.
	b, err := io.ReadAll(io.LimitReader(r.r, int64(size)))
	if err == nil && len(b) < size {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// number reads a body that is one number which fits an int64.
func (r *recordReader) number(size int) (int64, error) {
	b, err := r.body(size)
	if err != nil {
		return 0, err
	}
	n, used := binary.Uvarint(b)
	if used != size || n > 1<<62 {
		return 0, protocolError("a number that makes no sense")
	}
	return int64(n), nil
}

func (r *recordReader) value(size int, v any) error {
	b, err := r.body(size)
	if err != nil {
		return err
	}
	if err := core.Unmarshal(b, v); err != nil {
		return protocolError("a record that can't be decoded: " + err.Error())
	}
	return nil
}

// waits reports whether the next read may have to wait for the other side.
func (r *recordReader) waits() bool { return r.r.Buffered() == 0 }

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
