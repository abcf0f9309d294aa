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

// server serves one connection. Requests take effect one after the other, in the
// order in which they were sent, and are answered in that order: clients such as
// sshfs send what belongs together without waiting for answers. All of it belongs to the
// goroutine that is in serve, except for r while somebody watches.
type server struct {
	// Immutable.
	conn     io.ReadWriteCloser
	dir      string // where relative paths start; absolute
	readOnly bool

	r        *bufio.Reader // holds a packet of any size
	watching chan struct{} // closed when r is free again; nil: it is
	ready    bool          // the client has said which version it speaks
	handles  handles
	accounts accounts
	out      []byte // the answer
}

// Serve serves SFTP on a connection until its other side closes it. It is for
// programs that get the connection elsewhere, such as an ssh server's
// subsystem. Closing the connection is left to the caller.
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

// next returns the next packet without its length, which is valid until more is
// read. The error is io.EOF where there is none.
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
		return nil, fmt.Errorf("sftp: a packet of %d bytes, where 1 to %d are allowed", size, maxPacket)
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

// handle does what a packet asks for and sends the answer.
func (s *server) handle(b []byte) error {
	p := &packet{rest: b}
	kind := p.byte()
	if kind == requestInit {
		s.ready = true
		s.announce()
		return s.send()
	}
	if !s.ready {
		return fmt.Errorf("sftp: a request of type %d came before that for the version", kind)
	}
	if len(p.rest) < 4 {
		return errors.New("sftp: a request without a number")
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

// announce answers with the version and what there is beyond it.
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

// begin begins an answer, and throws away one that was begun.
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

// send sends the answer. One at a time: what comes next may take long.
func (s *server) send() error {
	binary.BigEndian.PutUint32(s.out, uint32(len(s.out)-4))
	_, err := s.conn.Write(s.out)
	return err
}

// answerName answers with one name, of which nothing else is told.
func (s *server) answerName(q *request, name string) {
	s.begin(answerName, q.id)
	s.uint32(1)
	s.string(name)
	s.string(name)
	s.attrs(attributes{})
}

// watch has somebody wait for the next packet while an operation is under way
// that may take for ever. The channel is closed if the connection ends before
// one comes.
func (s *server) watch() <-chan struct{} {
	ended := make(chan struct{})
	if s.r.Buffered() > 0 {
		return ended // it lives
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

// unwatch waits until r is free again.
func (s *server) unwatch() {
	if s.watching != nil {
		<-s.watching
		s.watching = nil
	}
}

// local returns the path of a file for the system. An empty name is none: it
// stays empty, so that the system says so. Nothing else is changed, because
// what ".." and a slash at the end mean is for the system to say.
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
