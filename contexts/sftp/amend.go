package sftp

import (
	"bufio"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// The types of requests that are looked at, of draft-ietf-secsh-filexfer-02.
const (
	requestMkdir   = 14
	requestSetstat = 9
	requestSymlink = 20
)

// Attributes in a request, of the same source.
const (
	attrSize        = 1
	attrOwners      = 2
	attrPermissions = 4
)

// maxAmended is more than any request with paths in it is long, in bytes.
// What is longer is none that is to be amended.
const maxAmended = 64 << 10

// amender is a connection as its server reads it. The server that is used here
// takes what a new link is to hold for a path of its own, and gives all
// directories the mode 0755. So those two are done here as by sftp-server(8).
// What worked becomes a request that changes nothing, which the server answers as
// it would have; what did not is passed on, and fails again there, with the right
// answer.
type amender struct {
	io.ReadWriteCloser
	dir string // of relative paths

	// Owned by Read.
	r     *bufio.Reader
	rest  int    // of a request that is passed on as it is, in bytes
	ready []byte // to be read next
}

func newAmender(conn io.ReadWriteCloser, dir string) *amender {
	return &amender{ReadWriteCloser: conn, dir: dir, r: bufio.NewReader(conn)}
}

// Read implements io.Reader.
func (a *amender) Read(b []byte) (int, error) {
	if len(a.ready) == 0 && a.rest == 0 {
		if err := a.next(); err != nil {
			return 0, err
		}
	}
	if len(a.ready) > 0 {
		n := copy(b, a.ready)
		a.ready = a.ready[n:]
		return n, nil
	}
	n, err := a.r.Read(b[:min(len(b), a.rest)])
	a.rest -= n
	return n, err
}

// next looks at the head of a request: its length without these four bytes, and
// its type.
func (a *amender) next() error {
	head, err := a.r.Peek(5)
	if err != nil {
		if err == io.EOF && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	size := binary.BigEndian.Uint32(head)
	if kind := head[4]; kind != requestSymlink && kind != requestMkdir || size > maxAmended {
		a.rest = 4 + int(size)
		return nil
	}
	request := make([]byte, 4+size)
	if _, err := io.ReadFull(a.r, request); err != nil {
		return err
	}
	a.ready = a.amend(request)
	return nil
}

// amend does what a request is for. One that makes no sense is returned as it is.
func (a *amender) amend(request []byte) []byte {
	const head = 4 + 1 + 4 // length, type, number
	if len(request) < head {
		return request
	}
	first, rest, ok := cutString(request[head:])
	if !ok {
		return request
	}
	var err error
	if request[4] == requestMkdir {
		mode, ok := permissions(rest)
		if !ok {
			return request
		}
		err = os.Mkdir(a.path(first), mode)
	} else {
		// In the order of OpenSSH, which is not that of the draft.
		name, _, ok := cutString(rest)
		if !ok {
			return request
		}
		if first == "" {
			return appendRequest(request[:head], "x", "/") // which fails, as this must
		}
		err = os.Symlink(first, a.path(name))
	}
	if err != nil {
		return request
	}
	request[4] = requestSetstat
	return appendRequest(request[:head], "/", "") // as long as no attributes
}

// appendRequest returns a request with a head and strings.
func appendRequest(head []byte, words ...string) []byte {
	request := slices.Clone(head)
	for _, w := range words {
		request = binary.BigEndian.AppendUint32(request, uint32(len(w)))
		request = append(request, w...)
	}
	binary.BigEndian.PutUint32(request, uint32(len(request)-4))
	return request
}

func (a *amender) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(a.dir, name)
}

// cutString takes a string off what has its length before it.
func cutString(b []byte) (s string, rest []byte, ok bool) {
	if len(b) < 4 {
		return "", nil, false
	}
	size := binary.BigEndian.Uint32(b)
	if b = b[4:]; uint64(size) > uint64(len(b)) {
		return "", nil, false
	}
	return string(b[:size]), b[size:], true
}

// permissions returns those among attributes, or all that the umask leaves.
func permissions(attrs []byte) (os.FileMode, bool) {
	if len(attrs) < 4 {
		return 0, false
	}
	flags := binary.BigEndian.Uint32(attrs)
	if flags&attrPermissions == 0 {
		return 0o777, true
	}
	at := 4
	if flags&attrSize != 0 {
		at += 8
	}
	if flags&attrOwners != 0 {
		at += 8
	}
	if len(attrs) < at+4 {
		return 0, false
	}
	bits := binary.BigEndian.Uint32(attrs[at:])
	mode := os.FileMode(bits & 0o777)
	if bits&0o1000 != 0 {
		mode |= os.ModeSticky
	}
	return mode, true
}
