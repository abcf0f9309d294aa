package files

import (
	"cmp"
	"errors"

	"github.com/mitosis-go/mitosis/contexts/files/internal/disk"
	"github.com/mitosis-go/mitosis/core"
)

// ErrIncomplete is matched by the error of a copy that has failed while it wrote
// into the target in place: that has neither its old contents nor all of the
// new ones. Where the connection is lost, only the side of the target knows.
var ErrIncomplete = errors.New("the target is incomplete")

func init() {
	core.RegisterSentinel(240, ErrIncomplete)
	core.RegisterSentinel(241, ErrNoMatch)
}

// Note tells what is special about one target.
type Note struct {
	Path   string // relative to the target of the copy; "" for that itself
	Kind   NoteKind
	Reason string // in words; may be empty
}

// NoteKind is what a [Note] tells.
type NoteKind uint8

const (
	// NoteInPlace tells that the file could not be replaced as a whole, or not
	// without loss, and was written in place.
	NoteInPlace NoteKind = iota
	// NoteLinkReplaced tells that the name was that of a symbolic link; it is
	// that of the copy now.
	NoteLinkReplaced
	// NoteOwnerLost tells that the owner or the group of the file that was
	// there could not be kept. Nobody can read the new one who could not read
	// the old one, but for the user that copies.
	NoteOwnerLost
	// NoteAttributesLost tells that an access control list, a label or other
	// extended attributes of the file that was there could not be kept.
	NoteAttributesLost
	// NotePrivilegesDropped tells that the file that was there had set-user-ID,
	// set-group-ID or sticky bits, or capabilities. They don't pass to new
	// contents.
	NotePrivilegesDropped
)

var noteTexts = [...]string{
	NoteInPlace:           "was written in place",
	NoteLinkReplaced:      "was a symbolic link and has been replaced",
	NoteOwnerLost:         "could not keep its owner and group",
	NoteAttributesLost:    "could not keep all its attributes",
	NotePrivilegesDropped: "does not keep its privileges, as its contents are new",
}

// String says it as the end of a sentence that begins with the target's name.
func (n Note) String() string {
	text := "is special"
	if int(n.Kind) < len(noteTexts) {
		text = noteTexts[n.Kind]
	}
	if n.Reason != "" {
		text += ": " + n.Reason
	}
	return text
}

// The bounds of notes: of their number, and of the bytes of their texts, as they
// travel in one record.
const (
	maxNotes     = 100
	maxNotesSize = 64 << 10
)

// note keeps a note for the result. It may be called by the jobs of writers.
func (r *receiver) note(path string, kind NoteKind, reason string) {
	r.notesMu.Lock()
	defer r.notesMu.Unlock()
	size := len(path) + len(reason)
	if len(r.notes) < maxNotes && r.notesSize+size <= maxNotesSize {
		r.notes = append(r.notes, Note{path, kind, reason})
		r.notesSize += size
	}
}

// tell makes notes of what was lost.
func (f *file) tell(lost disk.Loss, privileged bool) {
	if lost.Owner != nil {
		f.r.note(f.Path, NoteOwnerLost, lost.Owner.Error())
	}
	if err := cmp.Or(lost.ACL, lost.Extras); err != nil {
		f.r.note(f.Path, NoteAttributesLost, err.Error())
	}
	if privileged {
		f.r.note(f.Path, NotePrivilegesDropped, "")
	}
}
