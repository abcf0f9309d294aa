package files

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files/internal/disk"
)

// fsOp is an operation on a file system. The numbers travel: append only.
type fsOp uint8

const (
	fsStat fsOp = iota
	fsLstat
	fsReadDir
	fsReadFile
	fsReadLink
	fsWriteFile
	fsMkdir
	fsMkdirAll
	fsRemove
	fsRemoveAll
	fsRename
	fsSymlink
	fsChmod
	fsChown
	fsLchown
	fsChtimes
)

func (o fsOp) String() string {
	return [...]string{"stat", "lstat", "readdir", "readfile", "readlink", "writefile", "mkdir", "mkdirall", "remove", "removeall",
		"rename", "symlink", "chmod", "chown", "lchown", "chtimes"}[o]
}

// fsRequest is one operation. Fields that the operation does not use are zero.
type fsRequest struct {
	_            struct{} `cbor:",toarray"`
	Op           fsOp
	At           fsPlace
	Name, Other  string
	Mode         fs.FileMode
	UID, GID     int
	Atime, Mtime time.Time
	Data         []byte
}

type fsReply struct {
	_     struct{} `cbor:",toarray"`
	Infos []FileInfo
	Data  []byte
}

// maxReadFile is the size of the largest file that ReadFile returns, in bytes.
const maxReadFile = 64 << 20

var (
	notDirectory error = syscall.ENOTDIR
	isDirectory  error = syscall.EISDIR
	errReply           = errors.New("the far side answers without the file's attributes")
)

var fsFunc = contexts.NewFunc("mitosis.files.fs", func(_ context.Context, q fsRequest) (fsReply, error) {
	t, done, err := q.At.open()
	if err != nil {
		return fsReply{}, disk.Reason(err)
	}
	defer done()
	r, err := q.serve(t, filepath.FromSlash(q.Name))
	return r, disk.Reason(err)
})

// tree is the files that operations work on: an *os.Root, or all files of the host.
type tree interface {
	OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error)
	Stat(name string) (fs.FileInfo, error)
	Lstat(name string) (fs.FileInfo, error)
	Readlink(name string) (string, error)
	Mkdir(name string, perm fs.FileMode) error
	MkdirAll(name string, perm fs.FileMode) error
	Remove(name string) error
	RemoveAll(name string) error
	Rename(oldname, newname string) error
	Symlink(oldname, newname string) error
	Chmod(name string, mode fs.FileMode) error
	Chown(name string, uid, gid int) error
	Lchown(name string, uid, gid int) error
	Chtimes(name string, atime, mtime time.Time) error
}

var _ tree = (*os.Root)(nil)

// open opens the directory of a Dir. done closes it.
func (p fsPlace) open() (t tree, done func(), err error) {
	// On Windows the names begin at a drive.
	dir := hostDir(filepath.Join(filepath.VolumeName(os.TempDir())+string(filepath.Separator), filepath.FromSlash(p.Dir)))
	if !p.confined() {
		return dir, func() {}, nil
	}
	root, err := os.OpenRoot(dir.at(filepath.FromSlash(p.Roots[0])))
	for _, name := range p.Roots[1:] {
		if err != nil {
			break
		}
		var next *os.Root
		next, err = root.OpenRoot(filepath.FromSlash(name))
		root.Close()
		root = next
	}
	if err != nil {
		return nil, nil, err
	}
	return root, func() { root.Close() }, nil
}

func (q *fsRequest) serve(t tree, name string) (r fsReply, err error) {
	switch q.Op {
	case fsStat:
		return oneInfo(t.Stat(name))
	case fsLstat:
		return oneInfo(t.Lstat(name))
	case fsReadDir:
		r.Infos, err = readDir(t, name)
	case fsReadFile:
		r.Data, err = readFile(t, name)
	case fsReadLink:
		var to string
		to, err = t.Readlink(name)
		r.Data = []byte(to)
	case fsWriteFile:
		err = writeFile(t, name, q.Data, q.Mode)
	case fsMkdir:
		err = t.Mkdir(name, q.Mode)
	case fsMkdirAll:
		err = t.MkdirAll(name, q.Mode)
	case fsRemove, fsRemoveAll:
		switch {
		case name == ".":
			err = fs.ErrInvalid
		case q.Op == fsRemove:
			err = t.Remove(name)
		default:
			err = t.RemoveAll(name)
		}
	case fsRename:
		err = t.Rename(name, filepath.FromSlash(q.Other))
	case fsSymlink:
		err = t.Symlink(q.Other, name)
	case fsChmod:
		err = t.Chmod(name, q.Mode)
	case fsChown:
		err = t.Chown(name, q.UID, q.GID)
	case fsLchown:
		err = t.Lchown(name, q.UID, q.GID)
	case fsChtimes:
		err = t.Chtimes(name, q.Atime, q.Mtime)
	default:
		err = errors.ErrUnsupported
	}
	return r, err
}

func newFileInfo(info fs.FileInfo) FileInfo {
	i := FileInfo{Base: info.Name(), Bytes: info.Size(), Bits: info.Mode(), Changed: info.ModTime()}
	i.UID, i.GID = disk.OwnerOf(info)
	return i
}

func oneInfo(info fs.FileInfo, err error) (fsReply, error) {
	if err != nil {
		return fsReply{}, err
	}
	return fsReply{Infos: []FileInfo{newFileInfo(info)}}, nil
}

func readDir(t tree, name string) ([]FileInfo, error) {
	f, err := t.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readDirFile(f, -1)
}

// readDirFile reads the next n entries of a directory. Files that vanish meanwhile are
// left out, as in os.ReadDir.
func readDirFile(f *os.File, n int) ([]FileInfo, error) {
	list, err := f.ReadDir(n)
	infos := make([]FileInfo, 0, len(list))
	for _, e := range list {
		info, infoErr := e.Info()
		switch {
		case infoErr == nil:
			infos = append(infos, newFileInfo(info))
		case !errors.Is(infoErr, fs.ErrNotExist) && err == nil:
			err = infoErr
		}
	}
	return infos, err
}

func readFile(t tree, name string) ([]byte, error) {
	f, err := t.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxReadFile+1))
	if len(b) > maxReadFile {
		return nil, contexts.ErrTooLarge
	}
	return b, err
}

func writeFile(t tree, name string, b []byte, perm fs.FileMode) error {
	f, err := t.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|disk.NoControl, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return cmp.Or(err, f.Close())
}

// hostDir is the tree of all files that names below a directory reach, which symbolic
// links may lead out of it.
type hostDir string

func (d hostDir) at(name string) string { return filepath.Join(string(d), name) }

func (d hostDir) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(d.at(name), flag, perm)
}
func (d hostDir) Stat(name string) (fs.FileInfo, error)     { return os.Stat(d.at(name)) }
func (d hostDir) Lstat(name string) (fs.FileInfo, error)    { return os.Lstat(d.at(name)) }
func (d hostDir) Readlink(name string) (string, error)      { return os.Readlink(d.at(name)) }
func (d hostDir) Mkdir(name string, m fs.FileMode) error    { return os.Mkdir(d.at(name), m) }
func (d hostDir) MkdirAll(name string, m fs.FileMode) error { return os.MkdirAll(d.at(name), m) }
func (d hostDir) Remove(name string) error                  { return os.Remove(d.at(name)) }
func (d hostDir) RemoveAll(name string) error               { return os.RemoveAll(d.at(name)) }
func (d hostDir) Rename(from, to string) error              { return os.Rename(d.at(from), d.at(to)) }
func (d hostDir) Symlink(to, name string) error             { return os.Symlink(to, d.at(name)) }
func (d hostDir) Chmod(name string, m fs.FileMode) error    { return os.Chmod(d.at(name), m) }
func (d hostDir) Chown(name string, uid, gid int) error     { return os.Chown(d.at(name), uid, gid) }
func (d hostDir) Lchown(name string, uid, gid int) error    { return os.Lchown(d.at(name), uid, gid) }
func (d hostDir) Chtimes(name string, atime, mtime time.Time) error {
	return os.Chtimes(d.at(name), atime, mtime)
}
