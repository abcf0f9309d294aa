package files

import (
	"context"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// Dir is a directory of a context's host, with everything below it, as a file system.
// [FS] returns the root of the host, OpenRoot and Sub return directories below it. It
// implements fs.FS, fs.StatFS, fs.ReadDirFS, fs.ReadFileFS, fs.SubFS and fs.ReadLinkFS,
// and has the writing functions of package os as methods.
//
// Names are those of io/fs: relative, with slashes, "." for the root itself. Unlike
// there they may have any bytes that the host takes. Every operation is a round trip,
// bounded by the ctx that was given to FS. For much data, [Put] and [Get] are faster.
// Errors are *fs.PathError. They unwrap to a *contexts.Error with the path of the
// target, and to the reason.
type Dir struct {
	// Immutable.
	ctx context.Context
	on  contexts.Target
	at  fsPlace
}

var (
	_ fs.StatFS     = (*Dir)(nil)
	_ fs.ReadDirFS  = (*Dir)(nil)
	_ fs.ReadFileFS = (*Dir)(nil)
	_ fs.SubFS      = (*Dir)(nil)
	_ fs.ReadLinkFS = (*Dir)(nil)
)

// fsPlace is the place of the root of a Dir.
type fsPlace struct {
	Dir string // below the host's root, with slashes
	// Roots are directories that nothing leads out of. The first is opened within Dir,
	// each other one within the one before.
	Roots []string
}

func (p fsPlace) confined() bool { return len(p.Roots) > 0 }

// within returns the place of the directory with this name.
func (p fsPlace) within(name string, confined bool) fsPlace {
	if confined || p.confined() {
		return fsPlace{Dir: p.Dir, Roots: append(slices.Clip(p.Roots), name)}
	}
	return fsPlace{Dir: path.Join(p.Dir, name)}
}

// FS returns the file system of the target's host, from its root, on Windows from the
// root of the drive with temporary files. ctx bounds every operation on it. A managed
// host is connected by each operation that finds it lost.
func FS(ctx context.Context, on contexts.Target) *Dir { return &Dir{ctx: ctx, on: on} }

// OpenRoot returns the directory as a file system that nothing leads out of, neither
// ".." nor symbolic links, as os.OpenRoot does. Each operation looks the directory up
// by its name.
func (f *Dir) OpenRoot(name string) (*Dir, error) {
	info, err := f.Stat(name)
	if err == nil && !info.IsDir() {
		err = pathError("openroot", name, notDirectory)
	}
	if err != nil {
		return nil, err
	}
	return &Dir{ctx: f.ctx, on: f.on, at: f.at.within(name, true)}, nil
}

// Sub implements fs.SubFS. Symbolic links may lead out of the result where f
// did not come from OpenRoot.
func (f *Dir) Sub(dir string) (fs.FS, error) {
	if !validName(dir) {
		return nil, pathError("sub", dir, fs.ErrInvalid)
	}
	return &Dir{ctx: f.ctx, on: f.on, at: f.at.within(dir, false)}, nil
}

// validName is fs.ValidPath for names of any bytes.
func validName(name string) bool {
	if name == "." {
		return true
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return !strings.ContainsRune(name, 0)
}

// do does one operation at the far side.
func (f *Dir) do(op fsOp, q fsRequest) (fsReply, error) {
	q.Op, q.At = op, f.at
	if !validName(q.Name) || op == fsRename && !validName(q.Other) {
		return fsReply{}, pathError(op.String(), q.Name, fs.ErrInvalid)
	}
	r, err := fsFunc.Call(f.ctx, f.on, q)
	if err != nil {
		err = f.failure(op.String(), q.Name, err)
	}
	return r, err
}

func (f *Dir) failure(op, name string, err error) error {
	return pathError(op, name, failedAt(f.on, "", reasonWithin(err)))
}

func (f *Dir) just(op fsOp, q fsRequest) error {
	_, err := f.do(op, q)
	return err
}

func (f *Dir) info(op fsOp, name string) (fs.FileInfo, error) {
	r, err := f.do(op, fsRequest{Name: name})
	if err != nil {
		return nil, err
	}
	if len(r.Infos) != 1 {
		return nil, f.failure(op.String(), name, errReply)
	}
	return r.Infos[0], nil
}

// Stat implements fs.StatFS.
func (f *Dir) Stat(name string) (fs.FileInfo, error) { return f.info(fsStat, name) }

// Lstat implements fs.ReadLinkFS: it is Stat, but of a symbolic link itself.
func (f *Dir) Lstat(name string) (fs.FileInfo, error) { return f.info(fsLstat, name) }

// ReadDir implements fs.ReadDirFS.
func (f *Dir) ReadDir(name string) ([]fs.DirEntry, error) {
	r, err := f.do(fsReadDir, fsRequest{Name: name})
	slices.SortFunc(r.Infos, byName)
	return entries(r.Infos), err
}

// ReadFile implements fs.ReadFileFS. A file of more than 64 MiB is
// contexts.ErrTooLarge: copy it with [Get].
func (f *Dir) ReadFile(name string) ([]byte, error) {
	r, err := f.do(fsReadFile, fsRequest{Name: name})
	return r.Data, err
}

// ReadLink implements fs.ReadLinkFS.
func (f *Dir) ReadLink(name string) (string, error) {
	r, err := f.do(fsReadLink, fsRequest{Name: name})
	return string(r.Data), err
}

// WriteFile is os.WriteFile: it writes into a file that is there. To replace the file as
// a whole, use [PutReader].
func (f *Dir) WriteFile(name string, data []byte, perm fs.FileMode) error {
	return f.just(fsWriteFile, fsRequest{Name: name, Mode: perm, Data: data})
}

// Mkdir is os.Mkdir.
func (f *Dir) Mkdir(name string, perm fs.FileMode) error {
	return f.just(fsMkdir, fsRequest{Name: name, Mode: perm})
}

// MkdirAll is os.MkdirAll.
func (f *Dir) MkdirAll(name string, perm fs.FileMode) error {
	return f.just(fsMkdirAll, fsRequest{Name: name, Mode: perm})
}

// Remove is os.Remove.
func (f *Dir) Remove(name string) error { return f.just(fsRemove, fsRequest{Name: name}) }

// RemoveAll is os.RemoveAll. The root itself is never removed.
func (f *Dir) RemoveAll(name string) error { return f.just(fsRemoveAll, fsRequest{Name: name}) }

// Rename is os.Rename. A file that has the new name is replaced.
func (f *Dir) Rename(oldname, newname string) error {
	return f.just(fsRename, fsRequest{Name: oldname, Other: newname})
}

// Symlink is os.Symlink: it makes the symbolic link newname with the text oldname.
func (f *Dir) Symlink(oldname, newname string) error {
	return f.just(fsSymlink, fsRequest{Name: newname, Other: oldname})
}

// Chmod is os.Chmod.
func (f *Dir) Chmod(name string, mode fs.FileMode) error {
	return f.just(fsChmod, fsRequest{Name: name, Mode: mode})
}

// Chown is os.Chown.
func (f *Dir) Chown(name string, uid, gid int) error {
	return f.just(fsChown, fsRequest{Name: name, UID: uid, GID: gid})
}

// Lchown is os.Lchown.
func (f *Dir) Lchown(name string, uid, gid int) error {
	return f.just(fsLchown, fsRequest{Name: name, UID: uid, GID: gid})
}

// Chtimes is os.Chtimes. A zero time changes nothing.
func (f *Dir) Chtimes(name string, atime, mtime time.Time) error {
	return f.just(fsChtimes, fsRequest{Name: name, Atime: atime, Mtime: mtime})
}

// Open implements fs.FS. The result is a *File.
func (f *Dir) Open(name string) (fs.File, error) {
	file, err := f.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// Create is os.Create.
func (f *Dir) Create(name string) (*File, error) {
	return f.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

// FileInfo describes a file of a context's host. It implements fs.FileInfo and
// fs.DirEntry.
type FileInfo struct {
	_       struct{} `cbor:",toarray"`
	Base    string
	Bytes   int64
	Bits    fs.FileMode
	Changed time.Time
	UID     int // -1: the host has none
	GID     int
}

// Name implements fs.FileInfo.
func (i FileInfo) Name() string { return i.Base }

// Size implements fs.FileInfo.
func (i FileInfo) Size() int64 { return i.Bytes }

// Mode implements fs.FileInfo.
func (i FileInfo) Mode() fs.FileMode { return i.Bits }

// ModTime implements fs.FileInfo.
func (i FileInfo) ModTime() time.Time { return i.Changed }

// IsDir implements fs.FileInfo.
func (i FileInfo) IsDir() bool { return i.Bits.IsDir() }

// Sys implements fs.FileInfo; it returns nil.
func (i FileInfo) Sys() any { return nil }

// Type implements fs.DirEntry.
func (i FileInfo) Type() fs.FileMode { return i.Bits.Type() }

// Info implements fs.DirEntry.
func (i FileInfo) Info() (fs.FileInfo, error) { return i, nil }

// String implements fmt.Stringer, as fs.DirEntry wants it.
func (i FileInfo) String() string { return fs.FormatFileInfo(i) }

func byName(a, b FileInfo) int { return strings.Compare(a.Base, b.Base) }

func entries(infos []FileInfo) []fs.DirEntry {
	list := make([]fs.DirEntry, len(infos))
	for k, i := range infos {
		list[k] = i
	}
	return list
}
