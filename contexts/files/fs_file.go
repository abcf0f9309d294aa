package files

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
	"github.com/mitosis-go/mitosis/core"
)

// File is an open file of a context's host. It implements fs.ReadDirFile,
// io.ReaderAt, io.Writer, io.WriterAt and io.Seeker. It is closed at the far side when
// it is closed here, when the ctx of its Dir ends, and when one of the two contexts
// ends. Any number of goroutines may use it.
type File struct {
	// Immutable.
	fsys *Dir
	name string
	conn stream
	stop func() bool // of the watch on ctx

	// Guarded by mu, which is held while an operation is under way.
	mu     sync.Mutex
	msgs   *wire.Messages
	info   FileInfo // when it was opened
	seeks  bool     // it has offsets, so that reading ahead does no harm
	pos    int64    // offset of the next Read or Write
	ahead  []byte   // bytes at pos that have been read already
	closed bool
}

var (
	_ fs.ReadDirFile            = (*File)(nil)
	_ io.ReadWriteSeeker        = (*File)(nil)
	_ io.ReaderAt               = (*File)(nil)
	_ io.WriterAt               = (*File)(nil)
	_ interface{ Sync() error } = (*File)(nil)
)

// readAhead is how many bytes a Read asks for, at least.
const readAhead = 128 << 10

// OpenFile is os.OpenFile, with the flags O_RDONLY, O_WRONLY, O_RDWR, O_APPEND, O_CREATE,
// O_EXCL, O_TRUNC and O_SYNC. Others are fs.ErrInvalid.
func (f *Dir) OpenFile(name string, flag int, perm fs.FileMode) (*File, error) {
	bits, ok := wireFlags(flag)
	if !ok || !validName(name) {
		return nil, pathError("open", name, fs.ErrInvalid)
	}
	conn, err := dial(f.ctx, f.on, fileConn, openRequest{At: f.at, Name: name, Flags: bits, Mode: perm})
	if err != nil {
		return nil, f.failure("open", name, err)
	}
	file := &File{fsys: f, name: name, conn: conn}
	file.msgs = wire.NewMessages(conn)
	file.stop = context.AfterFunc(f.ctx, func() { conn.Reset(context.Cause(f.ctx)) })
	r, err := file.answer()
	if err == nil && len(r.Infos) != 1 {
		err = errReply
	}
	if err != nil {
		file.drop()
		return nil, f.failure("open", name, err)
	}
	file.info = r.Infos[0]
	file.seeks = file.info.Mode().IsRegular() && flag&os.O_APPEND == 0
	return file, nil
}

// answer reads one answer.
func (f *File) answer() (fileReply, error) {
	var r fileReply
	err := f.msgs.Read(&r)
	if err == nil && r.Err != nil {
		err = core.DecodeError(r.Err)
	}
	return r, err
}

// doLocked does one operation at the far side.
func (f *File) doLocked(q fileRequest) (fileReply, error) {
	if f.closed {
		return fileReply{}, pathError(q.Op.String(), f.name, fs.ErrClosed)
	}
	err := f.msgs.Write(q)
	var r fileReply
	if err == nil {
		r, err = f.answer()
	}
	if err != nil && f.fsys.ctx.Err() != nil {
		err = context.Cause(f.fsys.ctx)
	}
	if errors.Is(err, io.EOF) {
		return r, io.EOF // readers compare it
	}
	if err != nil {
		err = f.fsys.failure(q.Op.String(), f.name, err)
	}
	return r, err
}

func (f *File) do(q fileRequest) (fileReply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.doLocked(q)
}

func (f *File) drop() {
	f.stop()
	f.conn.Close()
}

// Name returns the name that the file was opened by.
func (f *File) Name() string { return f.name }

// Stat implements fs.File.
func (f *File) Stat() (fs.FileInfo, error) {
	r, err := f.do(fileRequest{Op: fileStat})
	if err == nil && len(r.Infos) != 1 {
		err = f.fsys.failure("stat", f.name, errReply)
	}
	if err != nil {
		return nil, err
	}
	return r.Infos[0], nil
}

// Read implements io.Reader.
func (f *File) Read(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ahead) == 0 && len(b) > 0 {
		q := fileRequest{Op: fileRead, At: -1, N: int64(len(b))}
		if f.seeks {
			q.At, q.N = f.pos, int64(max(len(b), readAhead))
		}
		r, err := f.doLocked(q)
		if err != nil && len(r.Data) == 0 {
			return 0, err
		}
		f.ahead = r.Data
	}
	n := copy(b, f.ahead)
	f.ahead = f.ahead[n:]
	f.pos += int64(n)
	return n, nil
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(b []byte, at int64) (n int, err error) {
	if at < 0 {
		return 0, pathError("read", f.name, fs.ErrInvalid)
	}
	for n < len(b) && err == nil {
		var r fileReply
		r, err = f.do(fileRequest{Op: fileRead, At: at + int64(n), N: int64(len(b) - n)})
		n += copy(b[n:], r.Data)
	}
	if n == len(b) {
		err = nil
	}
	return n, err
}

// Write implements io.Writer.
func (f *File) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ahead = nil
	at := int64(-1)
	if f.seeks {
		at = f.pos
	}
	n, err := f.writeLocked(b, at)
	f.pos += int64(n)
	return n, err
}

// WriteAt implements io.WriterAt. Like that of package os it does not work on
// files opened with O_APPEND.
func (f *File) WriteAt(b []byte, at int64) (int, error) {
	if at < 0 {
		return 0, pathError("write", f.name, fs.ErrInvalid)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ahead = nil
	return f.writeLocked(b, at)
}

func (f *File) writeLocked(b []byte, at int64) (n int, err error) {
	for first := true; err == nil && (first || n < len(b)); first = false {
		part := b[n:min(len(b), n+maxTransfer)]
		q := fileRequest{Op: fileWrite, At: at, Data: part}
		if at >= 0 {
			q.At = at + int64(n)
		}
		var r fileReply
		r, err = f.doLocked(q)
		n += int(min(max(r.N, 0), int64(len(part))))
		if err == nil && r.N < int64(len(part)) {
			err = io.ErrShortWrite
		}
	}
	return n, err
}

// Seek implements io.Seeker.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seeks && whence == io.SeekCurrent {
		offset, whence = offset+f.pos, io.SeekStart
	}
	r, err := f.doLocked(fileRequest{Op: fileSeek, At: offset, Whence: whence})
	if err == nil {
		f.pos, f.ahead = r.N, nil
	}
	return r.N, err
}

// ReadDir implements fs.ReadDirFile.
func (f *File) ReadDir(n int) ([]fs.DirEntry, error) {
	r, err := f.do(fileRequest{Op: fileReadDir, N: int64(n)})
	if n <= 0 {
		slices.SortFunc(r.Infos, byName)
	}
	return entries(r.Infos), err
}

// Truncate is os.File.Truncate.
func (f *File) Truncate(size int64) error {
	_, err := f.do(fileRequest{Op: fileTruncate, At: size})
	return err
}

// Sync is os.File.Sync.
func (f *File) Sync() error {
	_, err := f.do(fileRequest{Op: fileSync})
	return err
}

// Close closes the file. It returns the error of closing it at the far side, as network
// file systems report failed writes only then.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.doLocked(fileRequest{Op: fileClose})
	if !f.closed {
		f.closed = true
		f.drop()
	}
	return err
}
