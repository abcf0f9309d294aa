package sftp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// server serves one connection. Requests take effect and are answered one after the
// other, in the order in which they were sent: clients such as sshfs send requests that
// depend on each other without waiting for answers. All of it belongs to the goroutine of
// serve, except for r while watch's goroutine reads.
type server struct {
	// Immutable.
	conn     io.ReadWriteCloser
	dir      string // in which relative paths start; absolute
	readOnly bool

	r        *bufio.Reader // holds a packet of any size
	watching chan struct{} // closed when watch's goroutine has ended; nil: there is none
	ready    bool          // the client has sent the version that it speaks
	handles  handles
	accounts accounts
	out      []byte // the answer
}

// Serve serves SFTP on a connection until its other side closes it. It is for programs
// that get the connection elsewhere, as the subsystem of an ssh server does. The caller
// closes the connection.
func Serve(conn io.ReadWriteCloser, o Options) error {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return err
	}
	s := &server{
		conn: conn, dir: dir, readOnly: o.ReadOnly,
		r: bufio.NewReaderSize(conn, 4+maxPacket), handles: newHandles(),
	}
	defer s.handles.closeAll()
	err = s.serve()
	if s.watching != nil { // the answer could not be sent
		_ = conn.Close()
		s.unwatch()
	}
	return err
}

func (s *server) serve() error {
	for {
		p, err := s.next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = s.handle(p)
		}
		if err != nil {
			return err
		}
	}
}

// next returns the next packet without its length. It is valid until the next read. The
// error is io.EOF if the client has closed the connection.
func (s *server) next() ([]byte, error) {
	s.unwatch()
	head, err := s.r.Peek(4)
	if err == io.EOF && len(head) > 0 {
		return nil, io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head)
	if size == 0 || size > maxPacket {
		return nil, fmt.Errorf("sftp: the client sent a packet of %d bytes; 1 to %d are allowed", size, maxPacket)
	}
	whole, err := s.r.Peek(4 + int(size))
	if err == io.EOF {
		return nil, io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	_, _ = s.r.Discard(len(whole))
	return whole[4:], nil
}

// handle executes the request in a packet and sends the answer.
func (s *server) handle(b []byte) error {
	p := &packet{rest: b}
	kind := p.byte()
	if kind == requestInit {
		s.ready = true
		s.announce()
		return s.send()
	}
	if !s.ready {
		return fmt.Errorf("sftp: the client sent a request of type %d before the version that it speaks", kind)
	}
	if len(p.rest) < 4 {
		return errors.New("sftp: the client sent a request without a number")
	}
	op, q, err := parse(kind, p)
	if err == nil && op.changes && s.readOnly {
		err = statusPermissionDenied
	}
	s.out = s.out[:0]
	if err == nil {
		err = op.do(s, q)
	}
	if err != nil || len(s.out) == 0 {
		number, text := statusOf(err)
		s.begin(answerStatus, q.id)
		s.uint32(uint32(number))
		s.string(text)
		s.string("") // the language
	}
	return s.send()
}

// announce answers with the version and the extensions.
func (s *server) announce() {
	s.begin(answerVersion, version)
	for i := range extensions {
		e := &extensions[i]
		if s.readOnly && e.changes || !hasVolumes && strings.Contains(e.name, "statvfs") {
			continue
		}
		s.string(e.name)
		s.string(e.version)
	}
}

// begin begins an answer. It discards an answer that was begun before.
func (s *server) begin(kind byte, id uint32) {
	s.out = append(s.out[:0], 0, 0, 0, 0, kind)
	s.uint32(id)
}

func (s *server) uint32(n uint32)    { s.out = binary.BigEndian.AppendUint32(s.out, n) }
func (s *server) uint64(n uint64)    { s.out = binary.BigEndian.AppendUint64(s.out, n) }
func (s *server) string(v string)    { s.out = appendString(s.out, v) }
func (s *server) attrs(a attributes) { s.out = a.append(s.out) }

// room returns n bytes at the end of the answer, to be written to.
func (s *server) room(n int) []byte {
	at := len(s.out)
	s.out = slices.Grow(s.out, n)[:at+n]
	return s.out[at:]
}

// send sends the answer at once, as the next request may take long.
func (s *server) send() error {
	binary.BigEndian.PutUint32(s.out, uint32(len(s.out)-4))
	_, err := s.conn.Write(s.out)
	return err
}

// answerName answers with one name, without attributes.
func (s *server) answerName(q *request, name string) {
	s.begin(answerName, q.id)
	s.uint32(1)
	s.string(name)
	s.string(name)
	s.attrs(attributes{})
}

// watch waits for the next packet, in a goroutine, while an operation is under way that
// may take for ever. It closes the channel if the connection ends first. unwatch waits
// for the goroutine.
func (s *server) watch() <-chan struct{} {
	ended := make(chan struct{})
	if s.r.Buffered() > 0 {
		return ended // there is a packet already
	}
	s.watching = make(chan struct{})
	go func() {
		defer close(s.watching)
		if _, err := s.r.Peek(1); err != nil {
			close(ended)
		}
	}()
	return ended
}

// unwatch waits until the goroutine of watch has ended.
func (s *server) unwatch() {
	if s.watching != nil {
		<-s.watching
		s.watching = nil
	}
}

// local returns the path of a file for the system. An empty name stays empty, so that the
// system refuses it. Nothing else is changed, because the system decides about the
// meaning of ".." and of a slash at the end.
func (s *server) local(name string) string {
	if name == "" {
		return ""
	}
	name = fromWire(name)
	if isAbsolute(name) {
		return name
	}
	return s.dir + string(os.PathSeparator) + name
}
