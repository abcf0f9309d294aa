package entropy

import "encoding/binary"

// A Writer appends bits to bytes, the lowest first.
type Writer struct {
	Out  []byte
	held uint64
	n    uint // bits held, below 48
}

// Bits writes the n lowest bits of v, at most 16. The others must be 0.
func (w *Writer) Bits(v uint64, n uint) {
	w.held |= v << w.n
	if w.n += n; w.n >= 48 {
		w.flush()
	}
}

// flush is apart, so that what is inlined everywhere is short.
//
//go:noinline
func (w *Writer) flush() {
	w.Out = binary.LittleEndian.AppendUint32(w.Out, uint32(w.held))
	w.Out = binary.LittleEndian.AppendUint16(w.Out, uint16(w.held>>32))
	w.held >>= 48
	w.n -= 48
}

// Align fills up the last byte with zeros.
func (w *Writer) Align() {
	for ; w.n > 0; w.n -= min(w.n, 8) {
		w.Out = append(w.Out, byte(w.held))
		w.held >>= 8
	}
}
