package disk

import (
	"fmt"
	"io/fs"
	"syscall"
)

// ReplaceBySymlink puts a symbolic link with this text in the place of a regular file
// or of another symbolic link.
func ReplaceBySymlink(d *Dir, base, text string) error {
	if info, err := d.Root.Lstat(base); err == nil && info.IsDir() {
		return syscall.EISDIR
	} else if err == nil && !info.Mode().IsRegular() && info.Mode().Type() != fs.ModeSymlink {
		return fmt.Errorf("%w: it is %s", fs.ErrInvalid, KindName(info.Mode()))
	}
	name := TempName()
	if err := d.Root.Symlink(text, name); err != nil {
		return err
	}
	err := d.Root.Rename(name, base)
	if err != nil {
		_ = d.Root.Remove(name)
	}
	return err
}
