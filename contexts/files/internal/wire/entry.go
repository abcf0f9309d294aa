package wire

import "time"

// Entry announces one file, directory or symbolic link.
type Entry struct {
	_       struct{} `cbor:",toarray"`
	Kind    Kind
	Path    string // relative to the target, with slashes; "" for the target itself
	Mode    uint32 // permission bits, with 04000, 02000 and 01000 as in chmod(2)
	MTime   int64  // nanoseconds since 1970; NoTime: not known
	Size    int64  // of a file; -1: not known
	UID     int    // -1: not known
	GID     int
	Symlink string // the text of a symbolic link
	// Sparse tells that the checksum is not one of the contents, but as package
	// checksum computes it for files with large holes.
	Sparse bool
	// Sum is the checksum, where the sender knows it beforehand.
	Sum []byte
}

// Kind says what an entry announces.
type Kind uint8

const (
	KindFile Kind = iota
	KindDir
	KindSymlink
)

// NoTime stands for a time of modification that is not known.
const NoTime = -1 << 63

// ModTime returns the time of modification, which must be known.
func (e *Entry) ModTime() time.Time { return time.Unix(0, e.MTime) }

// Verdict says what the receiver needs of a file.
type Verdict struct {
	_      struct{} `cbor:",toarray"`
	Kind   Need
	Offset int64  // NeedRest: where the rest begins
	Sum    []byte // NeedUnlessSame: of the file that is there; NeedRest: of its bytes before Offset
	Direct bool   // contents go into the target as they come: a failure leaves it incomplete
}

// Need is the part of a file that a receiver needs.
type Need uint8

const (
	NeedAll Need = iota
	NeedNothing
	NeedUnlessSame // all, unless the sender's file has the checksum of the verdict
	NeedRest       // the bytes from an offset on, if those before it have the checksum
)

// Ending is the last record of a sender.
type Ending struct {
	_       struct{} `cbor:",toarray"`
	Source  string
	Skipped []string
}
