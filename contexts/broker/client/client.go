// Package client speaks the broker's protocol, which docs/broker-protocol.md describes. It is for
// programs that are not the broker's own, and for those that want to start fast: it starts no tree.
// Processes of the broker's program have more by broker.Dial.
//
//	c, err := client.Dial(ctx, "")
//	defer c.Close()
//	cmd := &client.Command{Path: "ssh:web1/sudo", Argv: []string{"uptime"}, Stdout: os.Stdout}
//	end, err := c.Run(ctx, cmd)
//
// A [Client] carries out one request at a time. Requests that are to go on side by side have a
// Client each.
package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
	"github.com/mitosis-go/mitosis/internal/usersocket"
)

// ErrNotRunning says that there is no broker.
var ErrNotRunning = errors.New("no broker is running")

// Error is the failure of a request. Kind is one of the kinds of docs/broker-protocol.md.
type Error struct {
	Kind      string
	Message   string
	Path      string
	Temporary bool
}

func (e *Error) Error() string { return e.Message }

// Client is a connection with a broker.
type Client struct {
	// Program is what the broker calls itself; set by Dial.
	Program string

	conn net.Conn
	in   *wire.Reader
	out  *wire.Writer
	turn sync.Mutex // held by the request that is under way
}

// Status is what a broker tells of itself.
type Status = wire.Status

// Dial connects with the broker at a socket; "" is that of the user's broker without a name. ctx
// bounds the connecting only. The error matches [ErrNotRunning] where there is none.
func Dial(ctx context.Context, socket string) (*Client, error) {
	if socket == "" {
		socket = SocketPath("")
	}
	c, err := dial(ctx, socket)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	return c, nil
}

func dial(ctx context.Context, socket string) (*Client, error) {
	conn, err := Connect(ctx, socket)
	if err != nil {
		return nil, err
	}
	c := &Client{conn: conn, in: wire.NewReader(conn), out: wire.NewWriter(conn)}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	err = c.greet()
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

// SocketPath returns the path of the socket of the user's broker: broker.sock, or broker-NAME.sock,
// in the directory mitosis of $XDG_RUNTIME_DIR, or else in mitosis/run of the user's cache
// directory. It returns a relative path if the user has no home directory, which nobody
// can use.
func SocketPath(name string) string {
	file := "broker.sock"
	if name != "" {
		file = "broker-" + name + ".sock"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "mitosis", file)
	}
	dir, _ := os.UserCacheDir()
	return filepath.Join(dir, "mitosis", "run", file)
}

// Connect opens the socket of a broker, and makes sure that its process is the user's.
func Connect(ctx context.Context, socket string) (net.Conn, error) {
	conn, err := usersocket.Dial(ctx, socket)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	return conn, err
}

// Ended reports whether an error says that the other side has closed the connection.
func Ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (c *Client) greet() error {
	name := filepath.Base(os.Args[0])
	// If the write fails, the broker's side has ended, and reading says so.
	_ = c.out.Write(wire.Frame{Header: wire.Greeting{Mitosis: "client", Version: wire.Version, Name: name}})
	var g struct {
		wire.Greeting
		Error *wire.Error `json:"error"`
	}
	if _, err := c.in.Next(&g, wire.MaxHeader, wire.MaxBody); err != nil {
		if Ended(err) { // it came to its end while we came
			err = fmt.Errorf("%w: %w", ErrNotRunning, err)
		}
		return err
	}
	switch {
	case g.Error != nil && g.Error.Kind == "closed":
		return fmt.Errorf("%w: %w", ErrNotRunning, (*Error)(g.Error))
	case g.Error != nil:
		return (*Error)(g.Error)
	case g.Mitosis != "broker" || g.Version != wire.Version:
		return fmt.Errorf("%w: it is no broker of version %d", wire.ErrProtocol, wire.Version)
	}
	c.Program = g.Program
	return nil
}

// Close ends the connection, and what this client has started.
func (c *Client) Close() error { return c.conn.Close() }

// Status asks the broker what it holds.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	var f struct {
		Status Status `json:"status"`
		outcome
	}
	return &f.Status, c.ask(ctx, wire.ClientFrame{Op: "status"}, &f)
}

// Stop ends the broker, at once or when nobody uses it any more.
func (c *Client) Stop(ctx context.Context, whenIdle bool) error {
	q := wire.ClientFrame{Op: "stop"}
	if whenIdle {
		q.When = "idle"
	}
	return c.ask(ctx, q, new(outcome))
}

// Reset has the next request for a path go over a new connection.
func (c *Client) Reset(ctx context.Context, path string) error {
	return c.ask(ctx, wire.ClientFrame{Op: "reset", Path: path}, new(outcome))
}

// outcome is what each last frame has.
type outcome struct {
	OK    *bool       `json:"ok"`
	Error *wire.Error `json:"error"`
}

func (o *outcome) err() error {
	if o.Error != nil {
		return (*Error)(o.Error)
	}
	return nil
}

type lastFrame interface{ err() error }

// ask makes a request that has no frames but the first and the last.
func (c *Client) ask(ctx context.Context, q wire.ClientFrame, answer lastFrame) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Now()) })
	err := c.out.Write(wire.Frame{Header: q})
	if err == nil {
		_, err = c.in.Next(answer, wire.MaxHeader, wire.MaxBody)
	}
	if !stop() {
		return context.Cause(ctx) // the connection is of no use any more
	}
	if err != nil {
		return fmt.Errorf("the broker is gone: %w", err)
	}
	return answer.err()
}
