package sftp_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/mitosis-go/mitosis/contexts/sftp"
)

// Types of packets and what a status may be, as far as tests need them.
const (
	fxInit, fxVersion                              = 1, 2
	fxOpen, fxClose, fxRead, fxWrite               = 3, 4, 5, 6
	fxLstat, fxFstat, fxSetstat, fxFsetstat        = 7, 8, 9, 10
	fxOpendir, fxReaddir, fxRemove, fxMkdir        = 11, 12, 13, 14
	fxRmdir, fxRealpath, fxStat, fxRename          = 15, 16, 17, 18
	fxReadlink, fxSymlink                          = 19, 20
	fxStatus, fxHandle, fxData, fxName             = 101, 102, 103, 104
	fxAttrs                                        = 105
	fxExtended, fxExtendedReply                    = 200, 201
	stOK, stEOF, stNoSuchFile, stDenied            = 0, 1, 2, 3
	stFailure, stBadMessage, stUnsupported         = 4, 5, 8
	wantRead, wantWrite, wantAppend                = 1, 2, 4
	wantCreate, wantTruncate, wantNew              = 8, 16, 32
	hasSize, hasOwners, hasMode, hasTimes          = 1, 2, 4, 8
	hasExtended                             uint32 = 1 << 31
)

// encode puts the parts of a packet one after the other: numbers as they are,
// strings with their length, bytes without.
func encode(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch v := p.(type) {
		case byte:
			b = append(b, v)
		case int: // most numbers of the protocol
			b = binary.BigEndian.AppendUint32(b, uint32(v))
		case uint32:
			b = binary.BigEndian.AppendUint32(b, v)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, v)
		case string:
			b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
			b = append(b, v...)
		case []byte:
			b = append(b, v...)
		default:
			panic(fmt.Sprintf("%T", p))
		}
	}
	return b
}

// request returns a packet with its length.
func request(kind byte, id uint32, parts ...any) []byte {
	body := append([]byte{kind}, encode(append([]any{id}, parts...)...)...)
	return append(encode(len(body)), body...)
}

func extension(id uint32, name string, parts ...any) []byte {
	return request(fxExtended, id, append([]any{name}, parts...)...)
}

// answer is a packet of the server's.
type answer struct {
	kind byte
	id   uint32
	body []byte
}

func (a *answer) uint32() uint32 {
	if len(a.body) < 4 {
		return 0
	}
	n := binary.BigEndian.Uint32(a.body)
	a.body = a.body[4:]
	return n
}

func (a *answer) uint64() uint64 { return uint64(a.uint32())<<32 | uint64(a.uint32()) }

func (a *answer) string() string {
	n := min(int(a.uint32()), len(a.body))
	s := string(a.body[:n])
	a.body = a.body[n:]
	return s
}

func readAnswer(r io.Reader) (answer, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return answer{}, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(r, b); err != nil {
		return answer{}, err
	}
	if len(b) < 5 {
		return answer{}, fmt.Errorf("an answer of %d bytes, want at least 5", len(b))
	}
	return answer{b[0], binary.BigEndian.Uint32(b[1:]), b[5:]}, nil
}

// raw is a client that knows nothing but packets.
type raw struct {
	t    testing.TB
	conn io.ReadWriter
	id   uint32
}

// newRaw returns a client of a server that was started.
func newRaw(t testing.TB, conn io.ReadWriter) *raw {
	t.Helper()
	c := &raw{t: t, conn: conn}
	if a := c.answers(request(fxInit, 3)); a[0].kind != fxVersion || a[0].id != 3 {
		t.Fatalf("got %+v, want version 3", a[0])
	}
	return c
}

// serveRaw returns a client of a server in this process.
func serveRaw(t testing.TB, o sftp.Options) *raw {
	t.Helper()
	return newRaw(t, serve(t, o))
}

// serve starts a server in this process, which ends with the test.
func serve(t testing.TB, o sftp.Options) net.Conn {
	t.Helper()
	ours, _ := serveUntil(t, o)
	return ours
}

// serveUntil returns a channel besides, that is closed when the server has ended.
func serveUntil(t testing.TB, o sftp.Options) (net.Conn, <-chan struct{}) {
	t.Helper()
	ours, theirs := net.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := sftp.Serve(theirs, o)
		theirs.Close()
		if err != nil && err != io.ErrClosedPipe {
			t.Errorf("the server returns %v, want nil or io.ErrClosedPipe", err)
		}
	}()
	t.Cleanup(func() {
		ours.Close()
		<-ended
	})
	return ours, ended
}

// answers sends packets at once and returns as many answers.
func (c *raw) answers(packets ...[]byte) []answer {
	c.t.Helper()
	sent := make(chan error, 1)
	go func() {
		_, err := c.conn.Write(bytes.Join(packets, nil))
		sent <- err
	}()
	all := make([]answer, len(packets))
	for i := range all {
		a, err := readAnswer(c.conn)
		if err != nil {
			c.t.Fatalf("answer %d of %d: %v", i, len(packets), err)
		}
		all[i] = a
	}
	if err := <-sent; err != nil {
		c.t.Fatal(err)
	}
	return all
}

// ask sends one request and returns its answer.
func (c *raw) ask(kind byte, parts ...any) answer {
	c.t.Helper()
	c.id++
	a := c.answers(request(kind, c.id, parts...))[0]
	if a.id != c.id {
		c.t.Fatalf("got the answer to request %d, want that to %d", a.id, c.id)
	}
	return a
}

// status sends one request and returns how it ended.
func (c *raw) status(kind byte, parts ...any) uint32 {
	c.t.Helper()
	a := c.ask(kind, parts...)
	if a.kind != fxStatus {
		c.t.Fatalf("a request of type %d: got an answer of type %d, want a status", kind, a.kind)
	}
	return a.uint32()
}

// open opens a file and returns its handle.
func (c *raw) open(name string, flags int, attrs ...any) string {
	c.t.Helper()
	if len(attrs) == 0 {
		attrs = []any{0}
	}
	a := c.ask(fxOpen, append([]any{name, flags}, attrs...)...)
	if a.kind != fxHandle {
		c.t.Fatalf("opening %s: got status %d, want a handle", name, a.uint32())
	}
	return a.string()
}
