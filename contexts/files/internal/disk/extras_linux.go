package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	listAttr = "system.posix_acl_access"
	capsAttr = "security.capability"
)

// extras are the extended attributes of a file (xattr(7)).
type extras struct {
	list    accessList // nil: none
	capable bool       // it has capabilities, which belong to its contents
	names   []string
	values  [][]byte
	hidden  bool  // there may be a list that could not be read
	err     error // of the first attribute that could not be read
}

// The bytes of the largest value, or of all names (limits.h), and the bytes that are
// enough for most.
const (
	maxExtra   = 64 << 10
	usualExtra = 512
)

// read calls one of the system calls that fill a buffer.
func read(call func(buf []byte) (int, error)) ([]byte, error) {
	buf := make([]byte, usualExtra)
	n, err := call(buf)
	if errors.Is(err, unix.ERANGE) {
		buf = make([]byte, maxExtra)
		n, err = call(buf)
	}
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}

// belongsToContents reports whether an attribute is about the contents of a file, or is
// set by the system itself. Such attributes are not copied.
func belongsToContents(name string) bool {
	switch name {
	case capsAttr, "security.ima", "security.evm", "system.posix_acl_default":
		return true
	}
	return strings.HasPrefix(name, "trusted.overlay.") || strings.HasPrefix(name, "user.overlay.")
}

// readExtras reads the attributes of a file in d.
func readExtras(d *Dir, base string) (x extras) {
	path := d.name(base)
	if procFD() {
		path = descriptorPath(d.file) + "/" + base
	}
	list, err := read(func(b []byte) (int, error) { return unix.Llistxattr(path, b) })
	if err != nil {
		if x.hidden = !errors.Is(err, unix.ENOTSUP); x.hidden {
			x.err = err
		}
		return x
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		x.capable = x.capable || name == capsAttr
		if name == "" || belongsToContents(name) {
			continue
		}
		value, err := read(func(b []byte) (int, error) { return unix.Lgetxattr(path, name, b) })
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err == nil && name == listAttr {
			if x.list = value; !x.list.valid() {
				x.list, err = nil, errors.New("the access control list has an unknown format")
			}
		}
		switch {
		case err != nil:
			x.err = fmt.Errorf("%s: %w", name, err)
			x.hidden = x.hidden || name == listAttr
		case name != listAttr:
			x.names, x.values = append(x.names, name), append(x.values, value)
		}
	}
	return x
}

// give sets all attributes but the access control list, and returns the first error.
func (x *extras) give(f *os.File) error {
	err := x.err
	fd := int(f.Fd())
	for i, name := range x.names {
		// Setting a label may be refused even where it is the same.
		now, getErr := read(func(b []byte) (int, error) { return unix.Fgetxattr(fd, name, b) })
		if getErr == nil && bytes.Equal(now, x.values[i]) {
			continue
		}
		if setErr := unix.Fsetxattr(fd, name, x.values[i], 0); setErr != nil && err == nil {
			err = fmt.Errorf("%s: %w", name, setErr)
		}
	}
	return err
}

func setList(f *os.File, l accessList) error {
	if err := unix.Fsetxattr(int(f.Fd()), listAttr, l, 0); err != nil {
		return fmt.Errorf("access control list: %w", err)
	}
	return nil
}

// clearList takes off the list that a new file has got from the default list of its
// directory.
func clearList(f *os.File) error {
	if _, err := unix.Fgetxattr(int(f.Fd()), listAttr, nil); err != nil {
		return nil // there is none
	}
	return unix.Fremovexattr(int(f.Fd()), listAttr)
}
