package wire

import "io/fs"

// ModeBits turns permissions into the bits of chmod(2).
func ModeBits(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	for _, b := range specialBits {
		if m&b.mode != 0 {
			bits |= b.bit
		}
	}
	return bits
}

// FileMode is the reverse of ModeBits. It leaves out set-user-ID, set-group-ID and
// sticky bits unless special is set.
func FileMode(bits uint32, special bool) fs.FileMode {
	m := fs.FileMode(bits) & fs.ModePerm
	for _, b := range specialBits {
		if special && bits&b.bit != 0 {
			m |= b.mode
		}
	}
	return m
}

var specialBits = [...]struct {
	mode fs.FileMode
	bit  uint32
}{{fs.ModeSetuid, 04000}, {fs.ModeSetgid, 02000}, {fs.ModeSticky, 01000}}
