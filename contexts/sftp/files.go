package sftp

import (
	"encoding/binary"
	"io"
	"math"
	"os"
	"syscall"
	"time"
)

// The flags with which a client opens a file.
const (
	openRead     = 1
	openWrite    = 2
	openAppend   = 4
	openCreate   = 8
	openTruncate = 16
	openNew      = 32
)

// openFlags returns the flags of package os. A client that asks neither for reading nor for
// writing can read, as with OpenSSH.
func openFlags(wanted uint32) int {
	flags := os.O_RDONLY
	switch wanted & (openRead | openWrite) {
	case openRead | openWrite:
		flags = os.O_RDWR
	case openWrite:
		flags = os.O_WRONLY
	}
	for _, f := range []struct {
		wanted uint32
		flag   int
	}{{openAppend, os.O_APPEND}, {openCreate, os.O_CREATE}, {openTruncate, os.O_TRUNC}, {openNew, os.O_EXCL}} {
		if wanted&f.wanted != 0 {
			flags |= f.flag
		}
	}
	return flags
}

func (s *server) open(q *request) error {
	if s.readOnly && q.flags&(openWrite|openCreate|openTruncate) != 0 {
		return statusPermissionDenied
	}
	if err := s.handles.full(); err != nil {
		return err
	}
	name, flags := s.local(q.path), openFlags(q.flags)
	f, err := os.OpenFile(name, flags|openAlways, q.attrs.newMode(0o666))
	if err != nil {
		return err
	}
	s.answerHandle(q, &opened{file: f, flags: flags})
	return nil
}

func (s *server) close(q *request) error { return s.handles.close(q.handle) }

// position returns an offset for the system, which has half as many as the protocol.
func position(offset uint64) (int64, error) {
	if offset > math.MaxInt64 {
		return 0, syscall.EINVAL
	}
	return int64(offset), nil
}

func (s *server) read(q *request) error {
	o, err := s.handles.file(q.handle)
	if err != nil {
		return err
	}
	at, err := position(q.offset)
	if err != nil {
		return err
	}
	s.begin(answerData, q.id)
	wanted := int(min(q.length, maxData))
	s.uint32(0)
	head := len(s.out)
	n, err := o.file.ReadAt(s.room(wanted), at)
	if n == 0 && err != nil {
		return err
	}
	s.out = s.out[:head+n]
	binary.BigEndian.PutUint32(s.out[head-4:], uint32(n))
	return nil
}

func (s *server) write(q *request) error {
	o, err := s.handles.file(q.handle)
	if err != nil {
		return err
	}
	at := int64(0)
	if o.flags&os.O_APPEND == 0 {
		if at, err = position(q.offset); err != nil {
			return err
		}
	}
	if err := o.writable(); err != nil {
		return err // also for no data at all
	}
	if o.flags&os.O_APPEND != 0 {
		_, err = o.file.Write(q.data)
	} else {
		_, err = o.file.WriteAt(q.data, at)
	}
	return err
}

func (o *opened) writable() error {
	if o.flags&(os.O_WRONLY|os.O_RDWR) == 0 {
		return syscall.EBADF
	}
	return nil
}

func (s *server) fstat(q *request) error {
	o, err := s.handles.file(q.handle)
	if err != nil {
		return err
	}
	a, err := attributesOfOpen(o.file)
	return s.answerAttrs(q, a, err)
}

func (s *server) answerAttrs(q *request, a attributes, err error) error {
	if err != nil {
		return err
	}
	s.begin(answerAttrs, q.id)
	s.attrs(a)
	return nil
}

func (s *server) fsetstat(q *request) error {
	o, err := s.handles.file(q.handle)
	if err != nil {
		return err
	}
	f := o.file
	return q.attrs.apply(changer{f.Truncate, f.Chmod, func(atime, mtime time.Time) error { return setTimes(f, atime, mtime) }, f.Chown})
}

func (s *server) fsync(q *request) error {
	o, err := s.handles.file(q.handle)
	if err != nil {
		return statusNoSuchFile
	}
	return o.file.Sync()
}

// copyPiece is how many bytes are copied between two looks at whether the client is still
// connected.
const copyPiece = 8 << 20

// copyData copies from one open file to another, up to the end if no length is given.
func (s *server) copyData(q *request) error {
	from, err := s.handles.file(q.handle)
	if err != nil {
		return err
	}
	to, err := s.handles.file(q.to)
	if err != nil {
		return err
	}
	if same, err := sameFile(from.file, to.file); err != nil {
		return err
	} else if same {
		return statusFailure
	}
	if err := seek(from.file, q.offset); err != nil {
		return err
	}
	if err := to.writable(); err != nil {
		return err
	}
	if to.flags&os.O_APPEND == 0 {
		if err := seek(to.file, q.toOffset); err != nil {
			return err
		}
	}
	left, toEnd := q.length, q.length == 0
	if toEnd {
		left = math.MaxUint64
	}
	ended := s.watch()
	for left > 0 {
		piece := int64(min(left, copyPiece))
		n, err := io.CopyN(to.file, from.file, piece)
		if err == io.EOF && toEnd {
			return nil
		}
		if err != nil {
			return err
		}
		left -= uint64(n)
		select {
		case <-ended:
			return io.ErrClosedPipe
		default:
		}
	}
	return nil
}

func seek(f *os.File, offset uint64) error {
	at, err := position(offset)
	if err != nil {
		return err
	}
	_, err = f.Seek(at, io.SeekStart)
	return err
}

func sameFile(a, b *os.File) (bool, error) {
	infoA, err := a.Stat()
	if err != nil {
		return false, err
	}
	infoB, err := b.Stat()
	return err == nil && os.SameFile(infoA, infoB), err
}
