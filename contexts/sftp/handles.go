package sftp

import (
	"encoding/binary"
	"os"
	"syscall"
)

// maxHandles is how many files and directories one connection may have open, at
// the most. The context needs descriptors too.
const maxHandles = 4096

// opened is a file or a directory that is open.
type opened struct {
	file   *os.File
	flags  int
	path   string // local
	dir    bool   // came of a request for a directory
	listed bool   // of a directory: its own name and its parent's were told
}

// handles are the files that a client has open. A number is never used twice, so
// that one which the client goes on using by mistake means no other file.
type handles struct {
	limit int
	last  uint64
	open  map[uint64]*opened
}

func newHandles() handles {
	return handles{limit: min(maxHandles, descriptorLimit()/2), open: make(map[uint64]*opened)}
}

// full reports, as the error, whether no more files can be opened.
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

// file returns an open file that is no directory.
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

// handle returns a handle's number, or 0.
func (p *packet) handle() uint64 {
	if b := p.bytes(); len(b) == 8 {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// answerHandle answers with the handle of what was opened.
func (s *server) answerHandle(q *request, o *opened) {
	n := s.handles.add(o)
	s.begin(answerHandle, q.id)
	s.uint32(8)
	s.uint64(n)
}
