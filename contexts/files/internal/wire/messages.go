package wire

import (
	"bufio"
	"io"

	"github.com/mitosis-go/mitosis/core"
)

// recMessage is the one kind of record on the connection of an open file.
const recMessage = 'M'

// Messages are requests and answers on the connection of an open file, which take
// turns. They are not safe for concurrent use.
type Messages struct {
	in  *Reader
	out *Writer
}

// NewMessages returns the messages of a connection. Most files that are opened are
// small, and so are the buffers; a directory may have any number of entries.
func NewMessages(c io.ReadWriter) *Messages {
	return &Messages{&Reader{r: bufio.NewReader(c), max: core.MaxMessage}, &Writer{w: bufio.NewWriter(c), max: core.MaxMessage}}
}

// Write sends a message.
func (m *Messages) Write(v any) error {
	if err := m.out.Value(recMessage, v); err != nil {
		return err
	}
	return m.out.Flush()
}

// Read reads the next message into the value that v points to.
func (m *Messages) Read(v any) error {
	kind, size, err := m.in.Next()
	if err == nil && kind != recMessage {
		err = ProtocolError("a record that does not belong to an open file")
	}
	if err != nil {
		return err
	}
	return m.in.Value(size, v)
}
