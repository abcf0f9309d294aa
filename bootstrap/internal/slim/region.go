package slim

// A region is a table of items that don't tell their length: an item ends where the next begins.
type region struct {
	data  []byte
	marks []byte // for each byte of data
}

const (
	begins         = 1 << iota // an item begins here
	stays                      // the runtime needs the item
	judged                     // the item is a tree, and inlinesRuntime is known for it
	inlinesRuntime             // the tree has code of the runtime or of reflect
)

func newRegion(data []byte) region { return region{data, make([]byte, len(data))} }

// mark adds a mark to the item at an offset. It returns false for an offset outside of the
// region.
func (r *region) mark(at uint32, m byte) bool {
	if uint64(at) >= uint64(len(r.data)) {
		return false
	}
	r.marks[at] |= m
	return true
}

// item returns the item that begins at an offset.
func (r *region) item(at uint32) []byte {
	end := int(at) + 1
	for end < len(r.marks) && r.marks[end] == 0 {
		end++
	}
	return r.data[at:end]
}

// clear zeroes every item that the runtime does not need. The bytes before the first item stay.
func (r *region) clear() {
	keep := true
	for i, m := range r.marks {
		if m != 0 {
			keep = m&stays != 0
		}
		if !keep {
			r.data[i] = 0
		}
	}
}
