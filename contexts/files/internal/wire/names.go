package wire

import "strings"

// The longest names that Linux takes, in bytes.
const (
	MaxName = 255
	MaxPath = 4095
)

// CheckPath returns an error if a path from another context may not be used below a
// target. It takes names between slashes, of any bytes but NUL, at most so many
// directories deep. None of them may be empty, "." or "..".
func CheckPath(path string, depth int) error {
	if path == "" {
		return nil
	}
	if len(path) > MaxPath {
		return ProtocolError("a path is too long")
	}
	if n := strings.Count(path, "/"); n > depth {
		return ProtocolError("directories are nested too deeply")
	}
	for name := range strings.SplitSeq(path, "/") {
		switch {
		case name == "" || name == "." || name == "..":
			return ProtocolError("a path leads somewhere else")
		case len(name) > MaxName:
			return ProtocolError("a name is too long")
		case strings.ContainsAny(name, foreignSeparators):
			return ProtocolError("a name has a byte that no name may have here")
		}
	}
	return nil
}

// Split parts a path into the directory and the name in it.
func Split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}
