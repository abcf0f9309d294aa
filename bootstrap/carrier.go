package bootstrap

import (
	"context"
	"io"
)

// A teller is a carrier whose tool may print something and go on, such as a question that
// nobody has answered.
type teller interface {
	// Said returns the text that the tool has printed so far, made safe to show.
	Said() string
}

// A Carrier is a command that some tool runs at the far side, with pipes to its standard
// input and output. A child is started over it, and then it is the link to the child.
//
// Read returns the command's standard output, and Write feeds its standard input. Close
// ends the tool and all that the carrier started for it, and waits for them. It unblocks
// Read and Write, and may be called more than once.
type Carrier interface {
	io.ReadWriteCloser

	// Cause explains why the pipe ended or failed, as a typed error: wrong
	// password, unknown host key, exit status with the tool's last words.
	// It returns nil where nothing is known. It may wait for the tool to exit,
	// until ctx is done.
	Cause(ctx context.Context) error
}
