package files

import (
	"io/fs"

	"github.com/mitosis-go/mitosis/contexts"
)

// conn is the connection between sender and receiver. Reset must end reads and writes
// that wait, on both sides, and the other side must return err from them.
type conn interface {
	Read(b []byte) (int, error)
	Write(b []byte) (int, error)
	Reset(err error)
	// Done is closed when nothing can be written any more.
	Done() <-chan struct{}
}

// Options say how to copy. The zero value copies contents, and gives new files the
// permissions of the source.
type Options struct {
	// Mode is the permissions of a single file, whatever the umask. 0 stands for
	// those of the target if it exists, else for those of the source, or 0600 if
	// that has none of its own (an io.Reader, a device, a named pipe).
	Mode fs.FileMode
	// Perm gives files that exist the permissions of the source, too.
	Perm bool
	// Times gives the target the time of modification of the source.
	Times bool
	// Owner gives the target the numeric owner and group of the source, and its
	// permissions with set-user-ID, set-group-ID and sticky bits. In general only
	// root can do that.
	Owner bool
	// Overwrite says how a file that exists gets its new contents.
	Overwrite Overwrite
	// NoSpecial makes a target that is a device or a named pipe an error,
	// fs.ErrInvalid. Without it a single file is written into the target. Below the
	// target of a tree such a file is always an error.
	NoSpecial bool
	// NoReplace makes a target file that exists an error, fs.ErrExist.
	NoReplace bool
	// Sync waits until the target is written to the disk.
	Sync bool
	// Resume keeps the received part of a file of 1 MiB or more when its copy is
	// interrupted, in .mitosis-partial-NAME beside the target, with mode 0600. The
	// next copy to the same target with this option continues the part, unless it is
	// older than a day, and removes it in the end. Nothing else removes it.
	Resume bool

	// Over are contexts at the target's host, of the same user, each behind a connection
	// of its own, over which the copy goes besides; at most 32. One connection of ssh fills
	// no link on which more than 2 MiB are under way, which is 100 Mbit/s with a round trip
	// of 160 ms. A connection that is lost leaves its part to the others, but for that of
	// the target of the copy. A context of another host or user is an error. Each end may
	// need 8 MiB of memory for each connection. PutAll takes none.
	Over []contexts.Target `cbor:"-"`

	// The limits of a receiver. Zero stands for the default.
	MaxEntries int   // files, directories and symbolic links; default: 1,000,000
	MaxBytes   int64 // of contents, holes included; default: no limit, as disks differ
	MaxDepth   int   // of directories below the target; default: 128

	// Progress is called at the side that started the copy, by one goroutine at a
	// time, after each block of at most 256 KiB and after each file. The copy waits
	// while it runs.
	Progress func(Progress) `cbor:"-"`
}

// Overwrite says how a file that exists gets new contents.
type Overwrite uint8

const (
	// ReplaceOrInPlace replaces the file. Where that is impossible, or would
	// take its owner or access control list from it, the file is written in
	// place, and the [Result] has a note of that.
	ReplaceOrInPlace Overwrite = iota
	// Replace puts a new file in the place of the old one, or fails.
	Replace
	// InPlace writes into the existing file, which keeps its inode and so its other
	// names. Its readers see it change, and a failure may leave it incomplete: then the
	// error matches [ErrIncomplete].
	InPlace
)

const (
	defaultMaxEntries = 1_000_000
	defaultMaxDepth   = 128
)

func (o Options) withDefaults() Options {
	if o.MaxEntries <= 0 {
		o.MaxEntries = defaultMaxEntries
	}
	if o.MaxDepth <= 0 {
		o.MaxDepth = defaultMaxDepth
	}
	return o
}

// Progress says how far a copy has come.
type Progress struct {
	Name  string // of the present file, relative to the source; "" for a single file
	Files int    // complete ones
	Bytes int64  // of contents, with those that were at the target already
	Total int64  // bytes of all files found so far. It grows while a tree is read, and is less than Bytes where sizes are not known
}

// Result says what a copy has done.
type Result struct {
	Source string // absolute path at the sender; "" for an io.Reader
	Target string // absolute path at the receiver

	Files, Dirs, Links int   // Links are symbolic
	Size               int64 // of the contents of all files, in bytes
	Sent               int64 // bytes of Size that were sent

	// SHA256 is the checksum of a single file. It is zero for a tree, and for a file
	// with more than 256 MiB of holes, for which computing it would take longer than
	// the copy. Such a copy is checked by its data and the places of its holes.
	SHA256 [32]byte

	// Skipped names the entries of a tree that are neither file nor directory nor
	// symbolic link; at most 1000 of them.
	Skipped []string

	// Notes tell of targets that were not made in the usual way; at most 100.
	Notes []Note
}

// The bounds of Skipped, which travels in one record.
const (
	maxSkipped     = 1000
	maxSkippedSize = 128 << 10 // bytes
)

func pathError(op, path string, err error) error {
	return &fs.PathError{Op: op, Path: path, Err: err}
}
