package files

import (
	"io/fs"
	"strings"
)

// The longest that names may be, in bytes: what Linux takes.
const (
	maxName = 255
	maxPath = 4095
)

// checkPath reports whether a path from another context may be used below a
// target: names between slashes, of any bytes but NUL, none of them empty, "."
// or "..", and not nested too deeply.
func checkPath(path string, depth int) error {
	if path == "" {
		return nil
	}
	if len(path) > maxPath {
		return protocolError("a path is too long")
	}
	if n := strings.Count(path, "/"); n > depth {
		return protocolError("directories are nested too deeply")
	}
	for name := range strings.SplitSeq(path, "/") {
		switch {
		case name == "" || name == "." || name == "..":
			return protocolError("a path leads somewhere else")
		case len(name) > maxName:
			return protocolError("a name is too long")
		case strings.ContainsAny(name, foreignSeparators):
			return protocolError("a name has a byte that no name may have here")
		}
	}
	return nil
}

// split parts a path into the directory and the name in it.
func split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// wireMode turns permissions into the bits of chmod(2).
func wireMode(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	for _, b := range specialBits {
		if m&b.mode != 0 {
			bits |= b.bit
		}
	}
	return bits
}

// fileMode is the reverse of wireMode. The special bits are wanted only with
// the owner.
func fileMode(bits uint32, special bool) fs.FileMode {
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
