package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"

	"github.com/mitosis-go/mitosis/contexts/files/internal/checksum"
	"github.com/mitosis-go/mitosis/contexts/files/internal/disk"
	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
)

// source is a file, a tree, or any reader that a sender reads. The caller closes it
// after sendTree.
type source struct {
	// Immutable.
	path   string      // absolute; "" for a reader
	info   fs.FileInfo // nil for a reader that is no fs.File
	reader io.Reader   // of a single file
	root   *os.Root    // of a tree
	sum    []byte      // of a single file, where it is known
}

// openSource opens a file or the root of a tree. A symbolic link is followed, here
// and nowhere below.
func openSource(path string) (*source, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	s := &source{path: path, info: info}
	if info.IsDir() {
		if s.root, err = os.OpenRoot(path); err != nil {
			return nil, pathError("open", path, disk.Reason(err))
		}
		return s, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s.reader = f
	// The file may have been replaced before it was opened.
	if s.info, err = f.Stat(); err == nil && s.info.IsDir() {
		err = pathError("open", path, syscall.EISDIR)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

// sourceOf makes a source of a reader, which is read to its end. A reader that is an
// fs.File has permissions and a time, too.
func sourceOf(r io.Reader) (*source, error) {
	s := &source{reader: r}
	if f, ok := r.(fs.File); ok {
		var err error
		if s.info, err = f.Stat(); err != nil {
			return nil, err
		}
		if s.info.IsDir() {
			return nil, pathError("read", s.info.Name(), syscall.EISDIR)
		}
	}
	return s, nil
}

// hash computes the checksum of a source beforehand, so that each receiver can tell by
// itself whether it has the same file. The source must be a regular file.
func (s *source) hash() error {
	f, ok := s.reader.(*os.File)
	switch {
	case s.root != nil:
		return s.failure("", syscall.EISDIR)
	case !ok || !s.info.Mode().IsRegular():
		return s.failure("", errNotRegular)
	}
	c := checksum.New()
	defer c.Close()
	c.Reset(checksum.IsSparse(f, s.info.Size()))
	if err := c.File(f, s.info.Size(), nil); err != nil {
		return s.failure("", err)
	}
	s.sum = c.Sum()
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// size returns the size of a regular file; or more than any file has, where only reading
// shows how much there is.
func (s *source) size() int64 {
	if f, ok := s.reader.(*os.File); !ok || f == nil || !s.info.Mode().IsRegular() || s.info.Size() == 0 {
		return math.MaxInt64
	}
	return s.info.Size()
}

// close closes the file or directory that openSource has opened.
func (s *source) close() error {
	if s.root != nil {
		return s.root.Close()
	}
	if f, ok := s.reader.(*os.File); ok && s.path != "" {
		return f.Close()
	}
	return nil
}

// top is the entry of the source itself.
func (s *source) top() *wire.Entry {
	e := &wire.Entry{Mode: 0o600, MTime: wire.NoTime, Size: -1, UID: -1, GID: -1, Sum: s.sum}
	if s.info == nil {
		return e
	}
	describe(e, s.info)
	if s.info.IsDir() {
		e.Kind = wire.KindDir
		return e
	}
	if !s.info.Mode().IsRegular() {
		e.Mode = 0o600 // the permissions of a device or a pipe are not those of its contents
	}
	// The size that another fs.File reports may be wrong, and files of /proc have none.
	f, ok := s.reader.(*os.File)
	if !ok || !s.info.Mode().IsRegular() || s.info.Size() == 0 {
		e.Size = -1
		return e
	}
	if at, err := f.Seek(0, io.SeekCurrent); err != nil || at != 0 {
		e.Size = -1 // the caller has read a part of it, and means the rest
		return e
	}
	e.Sparse = checksum.IsSparse(f, e.Size)
	_, _ = f.Seek(0, io.SeekStart)
	return e
}

// describe fills in the mode, times, owner and size of an entry.
func describe(e *wire.Entry, info fs.FileInfo) {
	e.Mode, e.MTime = wire.ModeBits(info.Mode()), info.ModTime().UnixNano()
	if info.ModTime().IsZero() {
		e.MTime = wire.NoTime
	}
	e.UID, e.GID = disk.OwnerOf(info)
	e.Size = info.Size()
}

// opener opens files of a tree, many of which are in the same directory.
type opener struct {
	src  *source
	path string
	dir  *os.Root // of path; nil: the source's root
}

func (o *opener) in(path string) (*os.Root, string, error) {
	dir, base := wire.Split(path)
	if dir != o.path {
		o.close()
		if dir != "" {
			d, err := o.src.root.OpenRoot(filepath.FromSlash(dir))
			if err != nil {
				return nil, "", err
			}
			o.dir, o.path = d, dir
		}
	}
	if o.dir == nil {
		return o.src.root, base, nil
	}
	return o.dir, base, nil
}

func (o *opener) close() {
	if o.dir != nil {
		o.dir.Close()
	}
	o.dir, o.path = nil, ""
}

// open opens a file that was announced.
func (o *opener) open(e *wire.Entry) (*os.File, error) {
	root, base, err := o.in(e.Path)
	if err != nil {
		return nil, err
	}
	f, err := root.OpenFile(base, os.O_RDONLY|disk.NoWait, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(err, fmt.Errorf("%w: no longer a regular file", fs.ErrInvalid))
	}
	return f, nil
}

// failure adds the name of a file of the source to an error.
func (s *source) failure(path string, err error) error {
	name := s.path
	switch {
	case s.root != nil:
		name = filepath.Join(name, filepath.FromSlash(path))
	case name == "" && s.info != nil:
		name = s.info.Name()
	case name == "":
		name = "reader"
	}
	err = disk.Reason(err)
	if err == io.ErrUnexpectedEOF {
		err = fmt.Errorf("%w: the file has become shorter", err)
	}
	return pathError("read", name, err)
}
