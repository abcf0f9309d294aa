package sftp

import (
	"encoding/binary"
	"os"
	"syscall"
)

// maxHandles is how many files and directories one connection may have open, at most. The
// context itself needs descriptors, too.
const maxHandles = 4096

// opened is a file or a directory that is open.
type opened struct {
	file   *os.File
	flags  int
	path   string // local
	dir    bool   // it was opened as a directory
	listed bool   // of a directory: "." and ".." have been listed
}

// handles are the files that a client has open. A number is never used twice, so that a
// client which goes on using one by mistake does not reach another file.
type handles struct {
	limit int
	last  uint64
	open  map[uint64]*opened
}

func newHandles() handles {
	return handles{limit: min(maxHandles, descriptorLimit()/2), open: make(map[uint64]*opened)}
}

// full returns an error if no more files can be opened.
func (h *handles) full() error {
	if len(h.open) >= h.limit {
		return syscall.EMFILE
	}
	return nil
}

func (h *handles) add(o *opened) uint64 {
	h.last++
	h.open[h.last] = o
	return h.last
}

// file returns an open file that was not opened as a directory.
func (h *handles) file(n uint64) (*opened, error) {
	o := h.open[n]
	if o == nil || o.dir {
		return nil, statusFailure
	}
	return o, nil
}

func (h *handles) close(n uint64) error {
	o := h.open[n]
	if o == nil {
		return statusNoSuchFile
	}
	delete(h.open, n)
	return o.file.Close()
}

func (h *handles) closeAll() {
	for _, o := range h.open {
		_ = o.file.Close()
	}
}

// handle reads the number of a handle, which is 0 if it can't be one of ours.
func (p *packet) handle() uint64 {
	if b := p.bytes(); len(b) == 8 {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// answerHandle answers with the handle of an opened file.
func (s *server) answerHandle(q *request, o *opened) {
	n := s.handles.add(o)
	s.begin(answerHandle, q.id)
	s.uint32(8)
	s.uint64(n)
}
