package broker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/broker/client"
	"github.com/mitosis-go/mitosis/contexts/pool"
)

// Config configures a broker. The zero value, and nil, are a good choice.
type Config struct {
	// Name tells the brokers of a user apart: see [SocketPath].
	Name string
	// Socket is the path of the socket. Default: SocketPath(Name).
	Socket string
	// Program is told to clients: a name and a version. Default: the name of the executable.
	Program string
	// Tree is the configuration of the tree. Its Prompt and Notify are not used: clients are asked.
	Tree *contexts.Config
	// Pool has the bounds of connections. Its Idle is the time after which one that nobody uses is
	// closed. A zero field Uses means 64 here.
	Pool pool.Config
	// Idle is the time without any request after which the broker ends. Default: 10 minutes; less
	// than 0: never.
	Idle time.Duration
	// Allow are the only hop paths that clients may use, with all that is beyond them:
	// "ssh:web1/sudo:deploy", "ssh:db*". An element may have the wildcards of path.Match, which stand
	// for no options, and for none of the characters ":,@": "ssh:db*" allows neither "ssh:db1:2222" nor
	// "ssh:dbadmin@web1". A hop with options must be written as it is. Default: all.
	Allow []string
	// MaxClients bounds the connections of clients. Default: 256.
	MaxClients int
	// Ready, if not nil, is called with the path of the socket when clients can connect.
	Ready func(socket string)
}

func (c *Config) withDefaults() Config {
	var d Config
	if c != nil {
		d = *c
	}
	if d.Program == "" {
		d.Program = filepath.Base(os.Args[0])
	}
	if d.Idle == 0 {
		d.Idle = 10 * time.Minute
	}
	if d.MaxClients <= 0 {
		d.MaxClients = 256
	}
	if d.Pool.Uses <= 0 {
		d.Pool.Uses = 64
	}
	return d
}

func (c *Config) socket() string {
	if c.Socket != "" {
		return c.Socket
	}
	return SocketPath(c.Name)
}

// DialConfig says which broker a client joins, and how. The zero value, and nil, join the one that
// is running.
type DialConfig struct {
	// Name and Socket are as in Config.
	Name   string
	Socket string
	// Start, if not nil, starts a broker where none is running: see [Spawn].
	Start func(ctx context.Context) error
	// Tree is the configuration of this process in the broker's tree. Its Prompt and Notify are for
	// the hops that the broker makes for this process.
	Tree *contexts.Config
}

// SocketPath returns the path of the socket of the user's broker: broker.sock, or broker-NAME.sock,
// in the directory mitosis of $XDG_RUNTIME_DIR, or else in mitosis/run of the user's cache
// directory. It returns a relative path if the user has no home directory, which Serve and Dial
// refuse.
func SocketPath(name string) string { return client.SocketPath(name) }

// The conditions that a caller can act on.
var (
	// ErrRunning says that the user has a broker of that name.
	ErrRunning = errors.New("a broker is running")
	// ErrNotRunning says that the user has no broker of that name.
	ErrNotRunning = client.ErrNotRunning
	// ErrNotAllowed says that Config.Allow has not the path.
	ErrNotAllowed = errors.New("the broker does not allow that path")
)

// errEvicted: the connection's place was needed for another one.
var errEvicted = errors.New("the connection had no request, and another one needed its place")
