package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/core"
)

// copyRequest asks for one end of a copy.
type copyRequest struct {
	Path    string
	Options Options
	Lanes   int // further connections over which the copy goes: see acceptLanes
}

var putConn = contexts.NewConnFunc("mitosis.files.put", func(_ context.Context, c net.Conn, q copyRequest) error {
	return acceptLanes(c.(stream), q.Lanes, func(c conn) error {
		_, err := receive(c, q.Path, q.Options, false)
		return err
	})
})

var getConn = contexts.NewConnFunc("mitosis.files.get", func(_ context.Context, c net.Conn, q copyRequest) error {
	src, err := openSource(q.Path)
	if err != nil {
		return err
	}
	defer src.close()
	return acceptLanes(c.(stream), q.Lanes, func(c conn) error {
		_, err := sendTree(c, src, q.Options)
		return err
	})
})

// Put copies a file or a directory tree from this process's host to the host of the
// target. Relative paths begin at the working directories of the two processes. An
// empty remote path stands for a new file or directory among the temporary ones there.
// Nil options are the zero value.
//
// A file appears under its name when it is complete and checked, and not before. If
// the copy fails, a file that was there stays as it was, and nothing else is left.
// Files that can only be written in place are the exception, see Options.Overwrite.
// The package comment has the details, and those of trees. Contents that the far side
// has already are not sent again.
//
// The error is a *contexts.Error with the path of the target. It names the file, here
// or there, and errors.Is recognises it: fs.ErrNotExist, fs.ErrPermission,
// syscall.ENOSPC, syscall.EISDIR and so on. A managed host is connected if it has to
// be; a copy that is interrupted is not begun again.
func Put(ctx context.Context, on contexts.Target, local, remote string, o *Options) (Result, error) {
	src, err := openSource(local)
	if err != nil {
		return Result{}, failedAt(on, "put", err)
	}
	defer src.close()
	return put(ctx, on, src, remote, o)
}

// PutReader copies the contents of r to a file of the target's host, like [Put]. If r
// is an fs.File, the copy gets its permissions, else Options.Mode or 0600. PutReader
// waits for a Read that blocks even when ctx has ended. An error of r leaves the target
// as it was.
func PutReader(ctx context.Context, on contexts.Target, r io.Reader, remote string, o *Options) (Result, error) {
	src, err := sourceOf(r)
	if err != nil {
		return Result{}, failedAt(on, "put", err)
	}
	return put(ctx, on, src, remote, o)
}

func put(ctx context.Context, on contexts.Target, src *source, remote string, o *Options) (Result, error) {
	if o != nil && len(o.Over) > 0 && src.size() < worthLanes {
		alone := *o
		alone.Over = nil
		o = &alone
	}
	return converseWith(ctx, on, "put", putConn, remote, o, func(_ *contexts.Node, c conn, o Options) (Result, error) {
		return sendTree(c, src, o)
	})
}

// Get copies a file or a directory tree from the target's host to the host of this
// process, as [Put] does in the other direction. A hostile far side can't make it write
// outside of the local path, nor more than the limits of Options.
func Get(ctx context.Context, on contexts.Target, remote, local string, o *Options) (Result, error) {
	if local != "" {
		// The working directory may change before the copy begins.
		var err error
		if local, err = filepath.Abs(local); err != nil {
			return Result{}, failedAt(on, "get", err)
		}
	}
	return converseWith(ctx, on, "get", getConn, remote, o, func(n *contexts.Node, c conn, o Options) (Result, error) {
		// Only a master was started by a user, whose descriptors they are.
		return receive(c, local, o, n.Local().Parent() == nil)
	})
}

// converseWith runs this side of a copy. The other side is f, at the target.
func converseWith(ctx context.Context, on contexts.Target, op string, f *contexts.ConnFunc[copyRequest], remote string, o *Options,
	side func(*contexts.Node, conn, Options) (Result, error)) (Result, error) {
	var options Options
	if o != nil {
		options = *o
	}
	over := options.Over
	options.Over = nil
	if len(over) > maxLanes {
		return Result{}, failedAt(on, op, fmt.Errorf("%w: more than %d targets in Over", core.ErrTooLarge, maxLanes))
	}
	n, err := contexts.NodeOf(ctx, on)
	if err != nil {
		return Result{}, failedAt(on, op, reasonWithin(err))
	}
	c, err := dial(ctx, n, f, copyRequest{Path: remote, Options: options, Lanes: len(over)})
	if err != nil {
		return Result{}, failedAt(on, op, err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Reset(context.Cause(ctx)) })
	var res Result
	if len(over) == 0 {
		res, err = side(n, c, options)
	} else {
		res, err = openLanes(ctx, c, over, func(c conn) (Result, error) { return side(n, c, options) })
	}
	if !stop() && err != nil {
		err = because(ctx, err)
	}
	return res, failedAt(on, op, err)
}

// because returns the reason for which ctx has ended, in place of the error that
// followed from that.
func because(ctx context.Context, err error) error {
	if errors.Is(err, ErrIncomplete) {
		return fmt.Errorf("%w; perhaps %w", context.Cause(ctx), ErrIncomplete)
	}
	return context.Cause(ctx)
}

// stream is a connection between contexts.
type stream interface {
	net.Conn
	conn
}

// dial calls a function that talks over a stream. Its error is only the reason: the
// caller adds the operation and the target.
func dial[In any](ctx context.Context, on contexts.Target, f *contexts.ConnFunc[In], in In) (stream, error) {
	c, err := f.Dial(ctx, on, in)
	if err != nil {
		return nil, reasonWithin(err)
	}
	return c.(stream), nil
}

// failedAt adds the operation and the target, which may be nil, to an error.
func failedAt(on contexts.Target, op string, err error) error {
	if err == nil {
		return nil
	}
	e := &contexts.Error{Op: op, Err: err}
	if on != nil {
		e.Path = on.String()
	}
	return e
}

// reasonWithin takes off the outermost *contexts.Error, in place of which callers put
// one with their own operation.
func reasonWithin(err error) error {
	if e, ok := err.(*contexts.Error); ok && e.Err != nil {
		return e.Err
	}
	return err
}
