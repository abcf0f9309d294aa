// Package worker makes files of the descriptors with which a guard has started its worker, and
// bounds the time that the worker takes to end.
package worker

import "os"

// Files are the files that a worker gets from its guard.
type Files struct {
	In, Out *os.File // the link; closing a file unblocks its Read and Write
	Output  *os.File // the read end of a pipe; descriptors 1 and 2 are its write end
	Stderr  *os.File // the carrier's standard error
}
