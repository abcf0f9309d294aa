package slim

import "bytes"

// regroup moves the needed tables by instruction to the front of their region, all of a kind
// together, and has the functions refer to them there. That helps the compressor: there are no
// gaps between them, and tables of a kind resemble each other. The functions must have been
// cleared before.
func (t *tables) regroup() {
	old := region{bytes.Clone(t.pcdata.data), t.pcdata.marks}
	all := t.pcdata.data
	clear(all[1:])
	to := 1 // nothing is at 0, which stands for no table
	moved := make(map[uint32]uint32)
	for kind := -1; kind < pcdataKinds; kind++ {
		for i := range t.count {
			f, _ := t.function(i)
			at := funcPCSP
			if kind >= 0 {
				at = f.pcdataAt(kind)
			}
			if kind >= f.pcdatas() || f.field(at) == 0 {
				continue
			}
			from := f.field(at)
			if moved[from] == 0 {
				moved[from] = uint32(to)
				to += copy(all[to:], old.item(from))
			}
			f.set(at, moved[from])
		}
	}
}
