package fold

import "encoding/binary"

// changeAMD64 changes the 32 bits of an instruction that are the distance of what
// it refers to from its end into the offset in the file, most significant byte
// first, or back. It looks at bytes, not at instructions: some that it takes for
// the beginning of one are not, which does no harm, since both directions take
// the same for one. What it decides by it does not change.
//
// entry_amd64.s does the same.
func changeAMD64(b []byte, from, to int, fold bool) {
	for i := from; i <= to-8; {
		field, length := 0, 0
		switch op := b[i]; {
		case op == 0xe8: // CALL
			field, length = 1, 5
		case b[i+1]&0xc7 != 5: // no operand relative to the instruction
		case op == 0x8b || op == 0x8d || op == 0x89: // MOV, LEA
			field, length = 2, 6
		case op == 0x83 || op == 0x80: // arithmetic with an immediate byte
			field, length = 2, 7
		}
		if length == 0 {
			i++
			continue
		}
		v := b[i+field:][:4]
		i += length
		if fold {
			binary.BigEndian.PutUint32(v, binary.LittleEndian.Uint32(v)+uint32(i))
		} else {
			binary.LittleEndian.PutUint32(v, binary.BigEndian.Uint32(v)-uint32(i))
		}
	}
}

// changeARM64 does it with the 26 bits of BL, in instructions, and with the 21 bits
// of ADRP, in pages.
//
// entry_arm64.s does the same.
func changeARM64(b []byte, from, to int, fold bool) {
	for i := from; i <= to-4; i += 4 {
		w := binary.LittleEndian.Uint32(b[i:])
		words, pages := uint32(i/4), uint32(i/page)
		if !fold {
			words, pages = -words, -pages
		}
		switch {
		case w>>26 == 0x25: // BL
			w = w&^(1<<26-1) | (w+words)&(1<<26-1)
		case w&0x9f000000 == 0x90000000: // ADRP
			const high, low = (1<<19 - 1) << 5, 3 << 29
			v := w&high>>3 | w&low>>29
			v += pages
			w = w&^(high|low) | v<<3&high | v<<29&low
		default:
			continue
		}
		binary.LittleEndian.PutUint32(b[i:], w)
	}
}
