// Package sftp serves the SFTP protocol in the contexts of a tree, and makes clients of
// these servers. It is for programs that are written for github.com/pkg/sftp, and for
// tools that speak the protocol.
//
// The server speaks version 3 with the extensions of OpenSSH 9.2, and answers as the
// server of OpenSSH does. Requests take effect one after the other, in the order in
// which they were sent.
//
// It is a package of its own because it makes the image larger: a program that does not
// import it does not carry it. If you don't need SFTP itself, package contexts/files
// does more: it checks its copies, replaces files as a whole and keeps the meaning of
// errors.
//
//	client, err := sftp.NewClient(ctx, node)
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	file, err := client.Open("/etc/hosts")
//
// The server has the rights of its context and serves all files of the host, to ancestors
// of the context only. It ends with the connection.
package sftp

import (
	"context"
	"errors"
	"net"

	"github.com/pkg/sftp"

	"github.com/mitosis-go/mitosis/contexts"
)

// Options say how to serve.
type Options struct {
	// ReadOnly refuses all requests that change a file.
	ReadOnly bool
	// Dir is the directory in which relative paths start; "" is the working
	// directory of the context.
	Dir string
}

var serve = contexts.NewConnFunc("mitosis.sftp", func(_ context.Context, conn net.Conn, o Options) error {
	return Serve(conn, o)
})

// Dial starts a server at the target and returns a connection to it, for clients that
// speak the protocol themselves. ctx bounds the opening only.
func Dial(ctx context.Context, on contexts.Target, o Options) (net.Conn, error) {
	return serve.Dial(ctx, on, o)
}

// NewClient starts a server at the target and returns a client of it. ctx bounds the
// opening only. The server ends when the client is closed. A managed host is connected
// if it has to be; a client does not survive the loss of its host: make a new one.
func NewClient(ctx context.Context, on contexts.Target, options ...sftp.ClientOption) (*sftp.Client, error) {
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
