package copies

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// Placeholder stands for the name of the member in a path.
const Placeholder = "{host}"

// PathFor returns a path in which the file name of a member stands for each Placeholder.
func PathFor(template, name string) string {
	return strings.ReplaceAll(template, Placeholder, FileName(name))
}

// longestName is how many bytes of a file name a member's takes. File systems have 255 for
// the whole of it.
const longestName = 180

// FileName returns a file name for a member's name. Different names have different file names.
// ASCII letters, digits and the characters - . _ + = @ stand as they are, and each byte of
// others is written as in URLs: %2F for a slash. So is the dot at the beginning and at the
// end, and the first letter of the names that Windows reserves for devices. A result of more
// than 180 bytes is cut, and ends with a tilde and a checksum of the whole name.
func FileName(name string) string {
	var out strings.Builder
	device := isDevice(name)
	for i := 0; i < len(name); i++ {
		c := name[i]
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._+=@", c) >= 0
		special := i == 0 && device || c == '.' && (i == 0 || i == len(name)-1)
		if plain && !special {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	s := out.String()
	if len(s) > longestName {
		sum := fmt.Sprintf("~%x", sha256.Sum256([]byte(name)))[:17]
		s = s[:longestName-len(sum)] + sum
	}
	return s
}

// isDevice reports whether Windows takes a name for that of a device, whatever its extension.
func isDevice(name string) bool {
	base, _, _ := strings.Cut(strings.ToUpper(name), ".")
	switch base {
	case "CON", "PRN", "AUX", "NUL":
		return true
	}
	return len(base) == 4 && (strings.HasPrefix(base, "COM") || strings.HasPrefix(base, "LPT")) && base[3] >= '0' && base[3] <= '9'
}
