package slim

// A region is a table of items that have no length of their own: one ends
// where the next begins.
type region struct {
	data  []byte
	marks []byte // for each byte of data
}

const (
	begins         = 1 << iota // an item begins here
	stays                      // and something needs it
	judged                     // a tree that was looked at for the next
	inlinesRuntime             // a tree with code of the runtime in it
)

func newRegion(data []byte) region { return region{data, make([]byte, len(data))} }

// mark is false for an offset outside of the region.
func (r *region) mark(at uint32, m byte) bool {
	if uint64(at) >= uint64(len(r.data)) {
		return false
	}
	r.marks[at] |= m
	return true
}

// item is the item that begins at an offset.
func (r *region) item(at uint32) []byte {
	end := int(at) + 1
	for end < len(r.marks) && r.marks[end] == 0 {
		end++
	}
	return r.data[at:end]
}

// clear zeroes every item that nothing needs. What lies before the first item
// stays.
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
