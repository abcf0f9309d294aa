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

// Config is what a tree is started with. The zero value, and nil, are a good
// choice.
type Config struct {
	// Log receives the records of all contexts, with the attribute "context"
	// holding the path for those that come from elsewhere. Default:
	// slog.Default().
	Log *slog.Logger
	// LogLevel is the least level that children send. Default: info. See
	// also Node.SetLogLevel.
	LogLevel slog.Level
	// Output receives what children and the processes they start print on
	// their standard output and error, line by line, each behind "[path] ".
	// Where it is nil the lines become records of Log.
	Output io.Writer

	// Prompt asks the person in front of the master for a password or the
	// like, whatever the depth of the hop that needs it. Several may be asked
	// at once. Where it is nil, a missing secret is an error that matches
	// connect.ErrPasswordRequired.
	Prompt func(ctx context.Context, p connect.Prompt) (string, error)
	// Notify shows that person what a hop tells on the way and does not ask: a login
	// request that was pushed to a telephone, a key that wants to be touched, the
	// banner of a server. It may be called by several goroutines at once, and should
	// return soon. Where it is nil such texts are records of Log.
	Notify func(ctx context.Context, n connect.Notice)

	// Images are executables of this program, in files that are named by the Go
	// names of operating system and architecture: "linux_arm64". They must
	// register the same functions, which are compared. Each is sent without what only
	// debuggers need. The command github.com/mitosis-go/mitosis/cmd/pack makes files of
	// them that need no more work: "linux_arm64.zst" and others. An image for the
	// system of the running program is sent in its place; without one it sends
	// itself. See also NoBuild.
	Images fs.FS
	// Sources is a directory of the module that this program was built from,
	// for building the images that Images has not. Default: the working
	// directory, or else that of the executable.
	Sources string
	// NoBuild forbids building them. By default an image that is asked for
	// is built where a Go toolchain and the sources are at hand, and kept in the
	// user's cache directory for the next time this executable asks.
	NoBuild bool
	// PackedDir is where packed images are kept from one run of a program to the next,
	// so that a connect need not pack. It must belong to this user, with mode
	// 0700; it is made where it is missing, and holds at most 24 files of 2 to 3 MB.
	// Nothing is kept where that is not so (os.DevNull, for example), or at the hosts
	// of other contexts. Default: mitosis/packed in the user's cache directory.
	PackedDir string

	// ConnectTimeout bounds how long nothing may move in a Connect whose ctx has no
	// deadline: no phase ends, and nothing of the image is taken on the way. On a line
	// that is slow (connect.Traits) the time of an image comes on top. Default: 2
	// minutes.
	ConnectTimeout time.Duration
	// CloseTimeout bounds the orderly part of Close; what has not ended by
	// then is killed. Default: 3 s.
	CloseTimeout time.Duration

	// MaxDepth bounds how many hops below the master a context may be, as a
	// guard against programs that divide without end. Default: 8.
	MaxDepth int
	// MaxChildren bounds the children of one context. Default: 4096.
	MaxChildren int

	// AllowSiblings lets contexts that are not above one another exchange
	// messages, with the rights of descendants. By default the common
	// ancestor refuses that, except where it passed one a node of the other.
	AllowSiblings bool
	// NoDisk forbids the last resort of the bootstrap, a file that is
	// unlinked before it is executed in a directory that is not in memory.
	NoDisk bool
	// Cache lets children keep the image that they were made from at the far
	// side, in a file of $XDG_CACHE_HOME/mitosis, or else ~/.cache/mitosis, of
	// their user: later connects start from there, in one round trip and with
	// a few kilobytes instead of megabytes. The file is hashed each time before it
	// is executed. The eight images that were used last stay. Where nothing can be
	// kept or used, all goes on as without, and what could not be kept is
	// logged. It holds for all contexts of the tree, and NoDisk has no part
	// in it. Default: nothing is written at the far side.
	Cache bool
	// StartMethods restricts how an image may be started at the far side; see
	// package bootstrap. Default: all, in order of preference.
	StartMethods []string

	// Limits bounds what other contexts can make the master hold. Zero fields
	// have defaults. The heartbeat holds for all contexts, the rest of what
	// is set here for the master only.
	Limits router.Limits
}

const (
	defaultConnectTimeout = 2 * time.Minute
	defaultCloseTimeout   = 3 * time.Second
	defaultMaxDepth       = 8
	defaultMaxChildren    = 4096
)

// withDefaults copies c and fills it in.
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
