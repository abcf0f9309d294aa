package files

import (
	"cmp"
	"errors"

	"github.com/mitosis-go/mitosis/contexts/files/internal/disk"
	"github.com/mitosis-go/mitosis/core"
)

// ErrIncomplete is matched by the error of a copy that has failed while it wrote into
// the target in place: the target has neither its old contents nor all of the new ones.
// Where the connection was lost, the side of the source can't know: its error says
// "perhaps". Copying again repairs the target.
var ErrIncomplete = errors.New("the target is incomplete")

func init() {
	core.RegisterSentinel(240, ErrIncomplete)
	core.RegisterSentinel(241, ErrNoMatch)
}

// Note says what is special about one target.
type Note struct {
	Path   string // relative to the target of the copy; "" for that itself
	Kind   NoteKind
	Reason string // in words; may be empty
}

// NoteKind is the subject of a [Note].
type NoteKind uint8

const (
	// NoteInPlace says that the file could not be replaced as a whole, or not
	// without loss, and was written in place.
	NoteInPlace NoteKind = iota
	// NoteLinkReplaced says that the target was a symbolic link, and the copy has
	// replaced it.
	NoteLinkReplaced
	// NoteOwnerLost says that the new file could not get the owner or the group of
	// the old one. Nobody can read the new file who could not read the old one,
	// except for the user who copies.
	NoteOwnerLost
	// NoteAttributesLost says that the new file could not get an access control list,
	// a label or other extended attributes of the old one.
	NoteAttributesLost
	// NotePrivilegesDropped says that the old file had set-user-ID, set-group-ID or
	// sticky bits, or capabilities. New contents don't get them.
	NotePrivilegesDropped
)

var noteTexts = [...]string{
	NoteInPlace:           "was written in place",
	NoteLinkReplaced:      "was a symbolic link and has been replaced",
	NoteOwnerLost:         "could not keep its owner and group",
	NoteAttributesLost:    "could not keep all its attributes",
	NotePrivilegesDropped: "does not keep its privileges, as its contents are new",
}

// String returns the end of a sentence that begins with the name of the target.
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

// The bounds of notes, which travel in one record: their number, and the bytes of their
// texts.
const (
	maxNotes     = 100
	maxNotesSize = 64 << 10
)

// note adds a note to the result. It may be called by jobs.
func (r *receiver) note(path string, kind NoteKind, reason string) {
	r.notesMu.Lock()
	defer r.notesMu.Unlock()
	size := len(path) + len(reason)
	if len(r.notes) < maxNotes && r.notesSize+size <= maxNotesSize {
		r.notes = append(r.notes, Note{path, kind, reason})
		r.notesSize += size
	}
}

// tell makes notes of the attributes that a new file could not get.
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
