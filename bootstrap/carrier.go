package bootstrap

import (
	"context"
	"io"
)

// A teller is a carrier whose tool may say something without ending: a question that nobody
// has answered.
type teller interface {
	// Said is what it has said so far, made safe to show; "" where that is nothing.
	Said() string
}

// A Carrier is a command that some tool runs at the far side, with its
// standard input and output reaching us: the pipe over which a child is born
// and which is its link from then on.
//
// Read yields what the command prints on its standard output, Write feeds its
// standard input. Close ends the tool and everything that the carrier started
// for it, unblocks pending Reads and Writes, waits for what it started, and
// may be called more than once.
type Carrier interface {
	io.ReadWriteCloser

	// Cause explains why the pipe ended or failed, as a typed error (wrong
	// password, unknown host key, exit status with the tool's last words).
	// It is nil where nothing is known. It may wait for the tool to exit,
	// until ctx is done.
	Cause(ctx context.Context) error
}
