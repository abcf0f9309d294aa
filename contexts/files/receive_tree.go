package files

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/mitosis-go/mitosis/contexts/files/internal/disk"
	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
)

// place is a directory of the target that stays open from one entry to the next, as most
// entries are in the same directory as the one before.
type place struct {
	dir  *disk.Dir // held; nil: none yet
	path string
}

// enter opens the directory of an entry. It stays open until the next call, or as long as
// the caller holds it.
func (p *place) enter(r *receiver, path string) (*disk.Dir, string, error) {
	if !r.tree {
		return r.top, filepath.Base(r.target), nil
	}
	in, base := wire.Split(path)
	if p.dir != nil && p.path == in {
		return p.dir, base, nil
	}
	p.leave()
	if in == "" {
		p.dir, p.path = r.top.Hold(), ""
		return p.dir, base, nil
	}
	root, err := r.top.Root.OpenRoot(filepath.FromSlash(in))
	if err != nil {
		return nil, "", err
	}
	// A directory that this copy has made is entered directly after that.
	made := len(r.made) > 0 && r.made[len(r.made)-1].Path == in
	d, err := disk.NewDir(root, filepath.Join(r.target, filepath.FromSlash(in)), made)
	if err != nil {
		return nil, "", err
	}
	p.dir, p.path = d, in
	return d, base, nil
}

func (p *place) leave() {
	p.dir.Release()
	p.dir = nil
}

// makeDir makes a directory in which this copy can write, whatever its mode will be. A
// directory that is there stays as it is.
func (r *receiver) makeDir(e *wire.Entry) error {
	d, base, err := r.entered.enter(r, e.Path)
	if err != nil {
		return err
	}
	err = d.Root.Mkdir(base, 0o700)
	if err == nil {
		r.made = append(r.made, *e)
	} else if errors.Is(err, fs.ErrExist) {
		info, statErr := d.Root.Lstat(base)
		if statErr == nil && info.IsDir() {
			err = nil
		} else if statErr == nil {
			err = syscall.ENOTDIR
		}
	}
	if err == nil {
		r.res.Dirs++
	}
	return err
}

// completeDir gives a directory that this copy has made its attributes, when all files
// in it are written.
func (r *receiver) completeDir(e *wire.Entry) error {
	name := "."
	if e.Path != "" {
		name = filepath.FromSlash(e.Path)
	}
	return r.attributes(e).SetDir(r.top.Root, name, r.o.Sync)
}

// makeSymlink makes a symbolic link, whatever it points to: no receiver follows it out of
// the tree.
func (r *receiver) makeSymlink(e *wire.Entry) error {
	d, base, err := r.entered.enter(r, e.Path)
	if err != nil {
		return err
	}
	if e.Symlink == "" || len(e.Symlink) > wire.MaxPath {
		return wire.ProtocolError("a symbolic link with a text that is empty or too long")
	}
	if now, err := d.Root.Readlink(base); err == nil && now == e.Symlink {
		r.res.Links++
		return nil
	}
	err = d.Root.Symlink(e.Symlink, base)
	if errors.Is(err, fs.ErrExist) && !r.o.NoReplace {
		err = disk.ReplaceBySymlink(d, base, e.Symlink)
	}
	if err != nil {
		return err
	}
	r.res.Links++
	if r.o.Owner && e.UID >= 0 {
		return d.Root.Lchown(base, e.UID, e.GID)
	}
	return nil
}

// attributes returns the attributes of an entry that the options ask for.
func (r *receiver) attributes(e *wire.Entry) disk.Attributes {
	a := disk.Attributes{Mode: wire.FileMode(e.Mode, r.o.Owner), Enforce: r.o.Owner || r.o.Perm, UID: -1, GID: -1}
	if r.o.Mode != 0 && !r.tree {
		a.Mode, a.Enforce = r.o.Mode, true
	}
	if r.o.Times && e.MTime != wire.NoTime {
		a.MTime = e.ModTime()
	}
	if r.o.Owner {
		a.UID, a.GID = e.UID, e.GID
	}
	return a
}
