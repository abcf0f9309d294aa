// Package sftp serves the SFTP protocol in the contexts of a tree and makes
// clients of it, for programs that are written for github.com/pkg/sftp and for
// tools that speak the protocol.
//
// It is a package of its own because it makes the image larger: a program that
// does not import it does not carry it. Where nothing asks for SFTP itself, Put,
// Fetch and FS of [contexts.Node] do more: they check what they copy, replace
// files as a whole and keep the meaning of errors.
//
//	client, err := sftp.NewClient(ctx, node)
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	file, err := client.Open("/etc/hosts")
//
// The server has the rights of its context and serves all of the host's files,
// to ancestors of the context only. It ends with the connection.
package sftp

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/pkg/sftp"

	"github.com/mitosis-go/mitosis/contexts"
)

// Options say how to serve.
type Options struct {
	// ReadOnly refuses everything that changes a file.
	ReadOnly bool
	// Dir is what relative paths start from; "" is the working directory of the
	// context.
	Dir string
}

var serve = contexts.NewConnFunc("mitosis.sftp", func(_ context.Context, conn net.Conn, o Options) error {
	return Serve(conn, o)
})

// Serve serves SFTP on a connection until its other side closes it. It is for
// programs that get the connection elsewhere, such as an ssh server's
// subsystem.
func Serve(conn io.ReadWriteCloser, o Options) error {
	var options []sftp.ServerOption
	if o.ReadOnly {
		options = append(options, sftp.ReadOnly())
	}
	if o.Dir != "" {
		options = append(options, sftp.WithServerWorkingDirectory(o.Dir))
	}
	if !o.ReadOnly {
		conn = newAmender(conn, o.Dir)
	}
	server, err := sftp.NewServer(conn, options...)
	if err != nil {
		return err
	}
	if err := server.Serve(); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// Dial returns a connection to a server that is started in the context, for
// clients that speak the protocol themselves. ctx bounds the opening.
func Dial(ctx context.Context, on *contexts.Node, o Options) (net.Conn, error) {
	return serve.Dial(ctx, on, o)
}

// NewClient returns a client of a server that is started in the context. ctx
// bounds the opening; the server ends when the client is closed.
func NewClient(ctx context.Context, on *contexts.Node, options ...sftp.ClientOption) (*sftp.Client, error) {
	conn, err := Dial(ctx, on, Options{})
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	client, err := sftp.NewClientPipe(conn, conn, options...)
	if !stop() {
		err = errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		conn.Close()
		return nil, &contexts.Error{Op: "sftp", Path: on.String(), Err: err}
	}
	return client, nil
}
