package files

import (
	"io/fs"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// conn is the connection between sender and receiver. Reset must end blocked
// reads and writes on both sides, and make the other side return err.
type conn interface {
	Read(b []byte) (int, error)
	Write(b []byte) (int, error)
	Reset(err error)
}

// Options say how to copy. The zero value copies contents and permissions.
type Options struct {
	// Mode is the permissions of a single file; 0 stands for those of the
	// source, or 0600 where it has none (an io.Reader). It is not subject to a
	// umask.
	Mode fs.FileMode
	// Times gives the target the source's time of modification.
	Times bool
	// Owner gives the target the source's numeric owner and group, which in
	// general takes root, and lets set-user-ID, set-group-ID and sticky bits
	// through.
	Owner bool
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

	// What a receiver takes at the most. Zero fields have defaults.
	MaxEntries int   // files, directories and links: 1,000,000
	MaxBytes   int64 // contents, holes included: no bound, as disks differ
	MaxDepth   int   // of directories below the target: 128

	// Progress is called at the side that started the copy, from one goroutine
	// at a time, after each block of at most 256 KiB and after each file. It
	// holds up the copy as long as it runs.
	Progress func(Progress) `cbor:"-"`
}

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
	Sent               int64 // of them, what crossed the link

	// SHA256 is the checksum of a single file. It is zero for a tree, and for a
	// file with holes of more than 256 MiB in all: computing it would take
	// longer than the copy. (Such a copy is checked by its data and the places
	// of its holes.)
	SHA256 [32]byte

	// Skipped names what of a tree is not a file, directory or symbolic link;
	// at most 1000 of them.
	Skipped []string
}

const maxSkipped = 1000

// entry announces one file, directory or symbolic link.
type entry struct {
	_     struct{} `cbor:",toarray"`
	Kind  kind
	Path  string // relative to the target, with slashes; "" for the target itself
	Mode  uint32 // permission bits, with 04000, 02000 and 01000 as in chmod(2)
	MTime int64  // nanoseconds since 1970; noTime: not known
	Size  int64  // of a file; -1: not known
	UID   int    // -1: not known
	GID   int
	Link  string // what a symbolic link says
	// Sparse tells that the checksum is not that of the contents; see checksum.
	Sparse bool
	// Sum is the checksum, where the sender knows it beforehand.
	Sum []byte
}

type kind uint8

const (
	kindFile kind = iota
	kindDir
	kindLink
)

const noTime = -1 << 63

func (e *entry) modTime() time.Time { return time.Unix(0, e.MTime) }

// verdict is what the receiver needs of a file.
type verdict struct {
	_      struct{} `cbor:",toarray"`
	Kind   need
	Offset int64  // needRest: from where on
	Sum    []byte // needUnlessSame: of what is there; needRest: of what lies before Offset
}

type need uint8

const (
	needAll need = iota
	needNothing
	needUnlessSame
	needRest
)

// ending is the sender's last word.
type ending struct {
	_       struct{} `cbor:",toarray"`
	Source  string
	Skipped []string
}

func pathError(op, path string, err error) error {
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// protocolError is about a peer that breaks the rules.
func protocolError(what string) error {
	return &core.Error{Op: "copy files", Kind: core.KindProtocol, Err: errText(what)}
}

type errText string

func (e errText) Error() string { return string(e) }
