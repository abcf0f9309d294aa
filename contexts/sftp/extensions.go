package sftp

import (
	"os/user"
	"strings"
)

// statvfs answers with figures of the file system of a path.
func (s *server) statvfs(q *request) error {
	v, err := volumeOf(s.local(q.path))
	return s.answerVolume(q, v, err)
}

func (s *server) fstatvfs(q *request) error {
	o, err := s.handles.file(q.handle)
	if err != nil {
		return err
	}
	v, err := volumeOfOpen(o.file)
	return s.answerVolume(q, v, err)
}

// volume has the figures of a file system that statvfs(3) returns. POSIX calls the fields
// f_bsize, f_frsize and so on.
type volume struct {
	blockSize, unit             uint64 // bytes
	blocks, free, available     uint64 // in units
	files, filesFree, filesOpen uint64
	id                          uint64
	flags                       uint64
	longestName                 uint64 // bytes
}

// Flags of a volume.
const (
	volumeReadOnly = 1
	volumeNoSetuid = 2
)

func (s *server) answerVolume(q *request, v volume, err error) error {
	if err != nil {
		return err
	}
	s.begin(answerExtended, q.id)
	for _, n := range []uint64{
		v.blockSize, v.unit, v.blocks, v.free, v.available,
		v.files, v.filesFree, v.filesOpen, v.id, v.flags, v.longestName,
	} {
		s.uint64(n)
	}
	return nil
}

// limits answers with the bounds of requests.
func (s *server) limits(q *request) error {
	s.begin(answerExtended, q.id)
	for _, n := range []int{maxPacket, maxData, maxData, s.handles.limit} {
		s.uint64(uint64(n))
	}
	return nil
}

// expandPath answers with the path that a shell would make of "~" and "~user". For "~" that
// is the directory in which relative paths start.
func (s *server) expandPath(q *request) error {
	rest, tilde := strings.CutPrefix(q.path, "~")
	if !tilde {
		return s.realpath(q)
	}
	name, rest, slash := strings.Cut(rest, "/")
	home := toWire(s.dir)
	if name != "" {
		u, err := user.Lookup(name)
		if err != nil {
			return statusNoSuchFile
		}
		home = toWire(u.HomeDir)
	}
	if slash {
		home += "/" + rest
	}
	q.path = home
	return s.realpath(q)
}
