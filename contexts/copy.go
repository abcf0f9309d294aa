package contexts

import (
	"context"
	"io"
	"net"
	"path/filepath"

	"github.com/mitosis-go/mitosis/contexts/files"
	"github.com/mitosis-go/mitosis/router"
)

// CopyOptions say how to copy files; nil and the zero value are a good choice.
type CopyOptions = files.Options

// Copied tells what a copy did.
type Copied = files.Result

// CopyProgress tells how far a copy has come.
type CopyProgress = files.Progress

// copyRequest asks for one end of a copy.
type copyRequest struct {
	Path    string
	Options files.Options
}

var putConn = NewConnFunc("mitosis.put", func(ctx context.Context, conn net.Conn, q copyRequest) error {
	_, err := files.Receive(conn.(*router.Stream), q.Path, q.Options)
	return err
})

var fetchConn = NewConnFunc("mitosis.fetch", func(ctx context.Context, conn net.Conn, q copyRequest) error {
	src, err := files.Open(q.Path)
	if err != nil {
		return err
	}
	defer src.Close()
	_, err = files.Send(conn.(*router.Stream), src, q.Options)
	return err
})

// Put copies a file or a directory tree from this process's host to the
// context's. Relative paths are relative to the working directories of the two
// processes; an empty remote path stands for a new file (or directory) among
// the temporary ones there.
//
// A file is there under its name when it is complete and checked, and not
// before; whatever goes wrong, a file that was there stays as it was, and
// nothing else is left. Package files says what holds in detail, and what of
// it for trees. What the far side has already is not sent again.
//
// The error names the file, here or there, and is recognised by errors.Is:
// fs.ErrNotExist, fs.ErrPermission, syscall.ENOSPC, syscall.EISDIR and so on.
func (n *Node) Put(ctx context.Context, local, remote string, o *CopyOptions) (Copied, error) {
	src, err := files.Open(local)
	if err != nil {
		return Copied{}, n.copyError("put", err)
	}
	defer src.Close()
	return n.put(ctx, src, remote, o)
}

// PutReader copies what r has to a file of the context's host, like
// [Node.Put]. If r is an fs.File its permissions count; else the file gets
// CopyOptions.Mode, or 0600. A Read that blocks holds up PutReader even when
// ctx ends; an error of r leaves the target as it was.
func (n *Node) PutReader(ctx context.Context, r io.Reader, remote string, o *CopyOptions) (Copied, error) {
	src, err := files.FromReader(r)
	if err != nil {
		return Copied{}, n.copyError("put", err)
	}
	return n.put(ctx, src, remote, o)
}

func (n *Node) put(ctx context.Context, src *files.Source, remote string, o *CopyOptions) (Copied, error) {
	return n.copy(ctx, "put", putConn, remote, o, func(c files.Conn, o files.Options) (Copied, error) {
		return files.Send(c, src, o)
	})
}

// Fetch copies a file or a directory tree from the context's host to this
// process's, as [Node.Put] does in the other direction. What a hostile far
// side sends can't leave the target, and is bounded by the limits of
// CopyOptions.
func (n *Node) Fetch(ctx context.Context, remote, local string, o *CopyOptions) (Copied, error) {
	if local != "" {
		// The working directory may change before the copy begins.
		var err error
		if local, err = filepath.Abs(local); err != nil {
			return Copied{}, n.copyError("fetch", err)
		}
	}
	return n.copy(ctx, "fetch", fetchConn, remote, o, func(c files.Conn, o files.Options) (Copied, error) {
		return files.Receive(c, local, o)
	})
}

// copy runs this side of a copy whose other side is f, on the context.
func (n *Node) copy(ctx context.Context, op string, f *ConnFunc[copyRequest], remote string, o *CopyOptions,
	side func(files.Conn, files.Options) (Copied, error)) (Copied, error) {
	var options files.Options
	if o != nil {
		options = *o
	}
	conn, err := openStream(ctx, f.e, f.nodes, n, copyRequest{Path: remote, Options: options})
	if err != nil {
		return Copied{}, n.copyError(op, reasonWithin(err))
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Reset(context.Cause(ctx)) })
	res, err := side(conn, options)
	if !stop() && err != nil {
		err = context.Cause(ctx)
	}
	return res, n.copyError(op, err)
}

func (n *Node) copyError(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Path: n.String(), Err: err}
}

// reasonWithin takes off the outermost *Error, which says of a call what its
// caller says in its own words.
func reasonWithin(err error) error {
	if e, ok := err.(*Error); ok && e.Err != nil {
		return e.Err
	}
	return err
}
