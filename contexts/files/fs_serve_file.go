package files

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files/internal/disk"
	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
	"github.com/mitosis-go/mitosis/core"
)

// maxTransfer is how many bytes one request carries, at most.
const maxTransfer = 1 << 20

// openRequest opens a file.
type openRequest struct {
	At    fsPlace
	Name  string
	Flags uint8 // bits of openFlags, as the numbers of package os differ between systems
	Mode  fs.FileMode
}

// openFlags are the flags of os.OpenFile in the order of their bits.
var openFlags = [...]int{os.O_WRONLY, os.O_RDWR, os.O_APPEND, os.O_CREATE, os.O_EXCL, os.O_TRUNC, os.O_SYNC}

func wireFlags(flag int) (bits uint8, ok bool) {
	for i, f := range openFlags {
		if flag&f == f {
			bits |= 1 << i
			flag &^= f
		}
	}
	return bits, flag == 0
}

func hostFlags(bits uint8) (flag int) {
	for i, f := range openFlags {
		if bits&(1<<i) != 0 {
			flag |= f
		}
	}
	return flag
}

// fileOp is an operation on an open file.
type fileOp uint8

const (
	fileRead fileOp = iota
	fileWrite
	fileSeek
	fileStat
	fileReadDir
	fileTruncate
	fileSync
	fileClose
)

func (o fileOp) String() string {
	return [...]string{"read", "write", "seek", "stat", "readdir", "truncate", "sync", "close"}[o]
}

type fileRequest struct {
	_      struct{} `cbor:",toarray"`
	Op     fileOp
	At     int64 // an offset; -1: the present one of the file
	N      int64
	Whence int
	Data   []byte
}

// fileReply is the answer to a fileRequest. An operation may do a part of the work and
// then fail, as ReadDir and Read do at the end.
type fileReply struct {
	_     struct{} `cbor:",toarray"`
	N     int64
	Data  []byte
	Infos []FileInfo
	Err   []byte // encoded; nil: none
}

// fileConn serves one open file.
var fileConn = contexts.NewConnFunc("mitosis.files.file", func(_ context.Context, conn net.Conn, q openRequest) error {
	t, done, err := q.At.open()
	if err != nil {
		return disk.Reason(err)
	}
	f, err := t.OpenFile(filepath.FromSlash(q.Name), hostFlags(q.Flags)|disk.NoControl, q.Mode)
	done()
	if err != nil {
		return disk.Reason(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return disk.Reason(err)
	}
	messages := wire.NewMessages(conn)
	r := fileReply{Infos: []FileInfo{newFileInfo(info)}}
	for {
		if err := messages.Write(r); err != nil {
			return err
		}
		var q fileRequest
		if err := messages.Read(&q); err != nil {
			return err
		}
		if r, err = q.serve(f); err != nil {
			r.Err = core.EncodeError(disk.Reason(err))
		}
	}
})

func (q *fileRequest) serve(f *os.File) (r fileReply, err error) {
	switch q.Op {
	case fileRead:
		b := make([]byte, min(max(q.N, 0), maxTransfer))
		var n int
		if q.At < 0 {
			n, err = f.Read(b)
		} else {
			n, err = f.ReadAt(b, q.At)
		}
		r.Data = b[:n]
	case fileWrite:
		var n int
		if q.At < 0 {
			n, err = f.Write(q.Data)
		} else {
			n, err = f.WriteAt(q.Data, q.At)
		}
		r.N = int64(n)
	case fileSeek:
		r.N, err = f.Seek(q.At, q.Whence)
	case fileStat:
		var info fs.FileInfo
		if info, err = f.Stat(); err == nil {
			r.Infos = []FileInfo{newFileInfo(info)}
		}
	case fileReadDir:
		r.Infos, err = readDirFile(f, int(q.N))
	case fileTruncate:
		err = f.Truncate(q.At)
	case fileSync:
		err = f.Sync()
	case fileClose:
		err = f.Close()
	default:
		err = errors.ErrUnsupported
	}
	return r, err
}
