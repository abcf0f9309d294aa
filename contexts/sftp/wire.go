package sftp

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"syscall"
)

// The types of packets (draft-ietf-secsh-filexfer-02).
const (
	requestInit     = 1
	requestOpen     = 3
	requestClose    = 4
	requestRead     = 5
	requestWrite    = 6
	requestLstat    = 7
	requestFstat    = 8
	requestSetstat  = 9
	requestFsetstat = 10
	requestOpendir  = 11
	requestReaddir  = 12
	requestRemove   = 13
	requestMkdir    = 14
	requestRmdir    = 15
	requestRealpath = 16
	requestStat     = 17
	requestRename   = 18
	requestReadlink = 19
	requestSymlink  = 20
	requestExtended = 200

	answerVersion  = 2
	answerStatus   = 101
	answerHandle   = 102
	answerData     = 103
	answerName     = 104
	answerAttrs    = 105
	answerExtended = 201
)

// version is the version of the protocol.
const version = 3

// The bounds of packets, in bytes, are those of OpenSSH, which clients are used to. The
// answer to limits@openssh.com tells them.
const (
	// maxPacket is the size of the largest packet, without its length.
	maxPacket = 256 << 10
	// maxData is how many bytes of a file one packet may carry.
	maxData = maxPacket - 1<<10
)

// packet is the rest of a packet that is being read. After a field that was too short,
// all fields are zero and bad is set.
type packet struct {
	rest []byte
	bad  bool
}

// take cuts n bytes off.
func (p *packet) take(n uint64) []byte {
	if n > uint64(len(p.rest)) {
		p.rest, p.bad = nil, true
	}
	if p.bad {
		return nil
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

func (p *packet) byte() byte {
	if b := p.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (p *packet) uint32() uint32 {
	if b := p.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (p *packet) uint64() uint64 {
	if b := p.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// bytes returns a string without copying it.
func (p *packet) bytes() []byte { return p.take(uint64(p.uint32())) }

func appendString[S string | []byte](b []byte, s S) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// status is the result of a request, with the numbers of the protocol.
type status uint32

const (
	statusOK status = iota
	statusEOF
	statusNoSuchFile
	statusPermissionDenied
	statusFailure
	statusBadMessage
	_ // no connection
	_ // connection lost
	statusUnsupported
)

// Error implements error.
func (s status) Error() string {
	switch s {
	case statusOK:
		return "Success"
	case statusEOF:
		return "End of file"
	case statusNoSuchFile:
		return "No such file"
	case statusPermissionDenied:
		return "Permission denied"
	case statusBadMessage:
		return "Bad message"
	case statusUnsupported:
		return "Operation unsupported"
	default:
		return "Failure"
	}
}

// statusOf returns the status for an error, and a text. Errors have the same status as
// with OpenSSH.
func statusOf(err error) (status, string) {
	if err == nil {
		return statusOK, statusOK.Error()
	}
	if s, ok := errors.AsType[status](err); ok {
		return s, s.Error()
	}
	if err == io.EOF {
		return statusEOF, statusEOF.Error()
	}
	text := err.Error()
	errno, ok := errors.AsType[syscall.Errno](err)
	if ok {
		text = errno.Error() // without the path, which the client knows
	}
	switch {
	case ok && (errno == syscall.ENOTDIR || errno == syscall.EBADF || errno == syscall.ELOOP),
		errors.Is(err, fs.ErrNotExist):
		return statusNoSuchFile, text
	case errors.Is(err, fs.ErrPermission):
		return statusPermissionDenied, text
	case ok && (errno == syscall.ENAMETOOLONG || errno == syscall.EINVAL):
		return statusBadMessage, text
	case ok && errno == syscall.ENOSYS:
		return statusUnsupported, text
	}
	return statusFailure, text
}
