package files

import "io/fs"

// conn is the connection between sender and receiver. Reset must end blocked
// reads and writes on both sides, and make the other side return err.
type conn interface {
	Read(b []byte) (int, error)
	Write(b []byte) (int, error)
	Reset(err error)
	// Done is closed when nothing can be written any more.
	Done() <-chan struct{}
}

// Options say how to copy. The zero value copies contents, and gives files that
// are new the permissions of the source.
type Options struct {
	// Mode is the permissions of a single file. 0 stands for those of the
	// target where it exists, else for those of the source, or 0600 where that
	// has none (an io.Reader). It is not subject to a umask.
	Mode fs.FileMode
	// Perm gives files that exist the permissions of the source as well.
	Perm bool
	// Times gives the target the source's time of modification.
	Times bool
	// Owner gives the target the source's numeric owner and group, which in
	// general takes root, and its permissions with set-user-ID, set-group-ID and
	// sticky bits.
	Owner bool
	// Overwrite says how a file that exists gets its new contents.
	Overwrite Overwrite
	// NoSpecial makes a target that is a device or a named pipe an error:
	// fs.ErrInvalid. Else a single file is written into it. Below the target of
	// a tree it is an error in any case.
	NoSpecial bool
	// NoReplace makes a target file that exists an error: fs.ErrExist.
	NoReplace bool
	// Sync waits until the target is on the disk.
	Sync bool
	// Resume keeps what came of a file of 1 MiB or more when its copy is
	// interrupted, in .mitosis-partial-NAME beside the target, mode 0600. The
	// next copy to the same target that has the option as well continues or
	// replaces it, and removes it when it succeeds. One that is older than a
	// day is not continued. Nothing else removes it.
	Resume bool

	// The limits of a receiver. Zero fields have defaults.
	MaxEntries int   // files, directories and links: 1,000,000
	MaxBytes   int64 // contents, holes included: no bound, as disks differ
	MaxDepth   int   // of directories below the target: 128

	// Progress is called at the side that started the copy, from one goroutine
	// at a time, after each block of at most 256 KiB and after each file. It
	// holds up the copy as long as it runs.
	Progress func(Progress) `cbor:"-"`
}

// Overwrite is a way in which a file that exists gets new contents.
type Overwrite uint8

const (
	// ReplaceOrInPlace replaces the file. Where that is impossible, or would
	// take its owner or access control list from it, the file is written in
	// place, and the [Result] has a note of that.
	ReplaceOrInPlace Overwrite = iota
	// Replace puts a new file in the place of the old one, or fails.
	Replace
	// InPlace writes into the file that is there, which keeps its inode and so
	// its other names. Its readers see it change, and a failure may leave it
	// incomplete: the error then is [ErrIncomplete].
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

// Progress tells how far a copy has come.
type Progress struct {
	Name  string // of the file under way, relative to the source; "" for a single one
	Files int    // that are complete
	Bytes int64  // of contents, those included that were there already
	Total int64  // of all files announced so far; of a tree it grows at first. Less than Bytes where sizes are not known
}

// Result tells what a copy did.
type Result struct {
	Source string // absolute path at the sender; "" for an io.Reader
	Target string // absolute path at the receiver

	Files, Dirs, Links int
	Size               int64 // of the contents of all files, in bytes
	Sent               int64 // the part of Size that crossed the link

	// SHA256 is the checksum of a single file. It is zero for a tree, and for a
	// file with holes of more than 256 MiB in all: computing it would take
	// longer than the copy. (Such a copy is checked by its data and the places
	// of its holes.)
	SHA256 [32]byte

	// Skipped names the entries of a tree that are no file, directory or symbolic
	// link; at most 1000 of them.
	Skipped []string

	// Notes tell of targets that were not made in the usual way; of at most 100.
	Notes []Note
}

// The bounds of what is told of skipped files, which travels in one record.
const (
	maxSkipped     = 1000
	maxSkippedSize = 128 << 10 // bytes
)

func pathError(op, path string, err error) error {
	return &fs.PathError{Op: op, Path: path, Err: err}
}
