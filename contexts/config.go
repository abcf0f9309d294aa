package contexts

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/router"
)

// Config configures a tree. The zero value, and nil, are a good choice.
type Config struct {
	// Log receives the records of all contexts. Those of other contexts have the attribute
	// "context", which is the path. Default: slog.Default().
	Log *slog.Logger
	// LogLevel is the least level of records that children send. Default: info. See also
	// Node.SetLogLevel.
	LogLevel slog.Level
	// Output receives the lines that children, and processes which they start, print on
	// their standard output and error. Each line has "[path] " in front. If Output is nil,
	// the lines become records of Log.
	Output io.Writer

	// Prompt asks the person in front of the master for a password or the like, whatever
	// the depth of the hop that needs it. Several goroutines may call it at once. If it is
	// nil, a missing secret is an error that matches connect.ErrPasswordRequired.
	Prompt func(ctx context.Context, p connect.Prompt) (string, error)
	// Notify shows that person a text that needs no answer: that a login request was sent
	// to a telephone, that a key has to be touched, the banner of a server. Several
	// goroutines may call it at once. It should return soon. If it is nil, such texts are
	// records of Log.
	Notify func(ctx context.Context, n connect.Notice)

	// Images has executables of this program, in files that are named by the Go names of
	// operating system and architecture: "linux_arm64". They must register the same
	// functions, which is checked. They are sent without the parts that only debuggers
	// read. The command github.com/mitosis-go/mitosis/cmd/pack makes packed files of them,
	// such as "linux_arm64.zst".
	//
	// An image for the system of the running program is sent in place of the running
	// program. For a system that Images has not, see NoBuild.
	Images fs.FS
	// Sources is a directory of the module of this program. Images that are missing are
	// built from there. Default: the working directory, or else the directory of the
	// executable.
	Sources string
	// NoBuild forbids the building of images. By default an image that is missing is built
	// if a Go toolchain and the sources are at hand. It is kept in the user's cache
	// directory for the next time that this executable needs it.
	NoBuild bool
	// PackedDir is the directory in which packed images are kept from one run of a program
	// to the next, so that a connect need not pack. It must belong to this user and have
	// mode 0700. It is made if it is missing, and holds at most 24 files of 2 to 3 MB. With
	// another owner or mode, or with a path such as os.DevNull, nothing is kept.
	// Children keep none. Default: mitosis/packed in the user's cache directory.
	PackedDir string

	// ConnectTimeout bounds how long a Connect may stand still if its ctx has no deadline: no
	// phase ends, and no byte of the image is sent. On a slow line (see connect.Traits) the
	// time of an image comes on top. Default: 2 minutes.
	ConnectTimeout time.Duration
	// CloseTimeout bounds the orderly part of Close. Then all contexts and processes that
	// have not ended are killed. Default: 3 s.
	CloseTimeout time.Duration

	// MaxDepth bounds the hops between the master and a context. It stops programs that
	// divide without end. Default: 8.
	MaxDepth int
	// MaxChildren bounds the children of one context. Default: 4096.
	MaxChildren int

	// AllowSiblings lets contexts talk of which neither is an ancestor of the other. They
	// have the rights of descendants. By default their common ancestor refuses that, unless
	// it has passed a node of one to the other.
	AllowSiblings bool
	// NoDisk forbids the last start method: a file in a directory that is not in memory,
	// which is unlinked before it is executed.
	NoDisk bool
	// Cache lets children keep their image at the far side, in a file of their user below
	// $XDG_CACHE_HOME/mitosis, or else below ~/.cache/mitosis. Later connects start from
	// there, in one round trip and with a few kilobytes instead of megabytes. The file is
	// hashed each time before it is executed. The eight images that were used last are
	// kept. An image that can't be kept is logged, and one that can't be used is sent. Cache
	// holds for all contexts of the tree, with NoDisk, too. Default: nothing is written at
	// the far side.
	Cache bool
	// StartMethods are the only methods by which images may be started at the far side: see
	// package bootstrap. Default: all, in order of preference.
	StartMethods []string

	// Limits bounds the memory that other contexts can make the master hold. Zero fields
	// have defaults. The heartbeat holds for all contexts, all other limits for the master.
	Limits router.Limits
}

const (
	defaultConnectTimeout = 2 * time.Minute
	defaultCloseTimeout   = 3 * time.Second
	defaultMaxDepth       = 8
	defaultMaxChildren    = 4096
)

// withDefaults returns a copy of c with defaults in place of zero fields.
func (c *Config) withDefaults() Config {
	var d Config
	if c != nil {
		d = *c
	}
	if d.Log == nil {
		d.Log = slog.Default()
	}
	if d.ConnectTimeout <= 0 {
		d.ConnectTimeout = defaultConnectTimeout
	}
	if d.CloseTimeout <= 0 {
		d.CloseTimeout = defaultCloseTimeout
	}
	if d.MaxDepth <= 0 {
		d.MaxDepth = defaultMaxDepth
	}
	if d.MaxChildren <= 0 {
		d.MaxChildren = defaultMaxChildren
	}
	return d
}
