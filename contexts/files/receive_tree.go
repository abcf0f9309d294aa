package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// place is a directory of the target that stays open from one entry to the
// next, as most are in the same as the one before.
type place struct {
	dir  *dir // held; nil: none yet
	path string
}

// enter opens the directory that an entry is in. It stays valid until the next
// call, unless it is held.
func (p *place) enter(r *receiver, path string) (*dir, string, error) {
	if !r.tree {
		return r.top, filepath.Base(r.target), nil
	}
	in, base := split(path)
	if p.dir != nil && p.path == in {
		return p.dir, base, nil
	}
	p.leave()
	if in == "" {
		p.dir, p.path = r.top.hold(), ""
		return p.dir, base, nil
	}
	root, err := r.top.root.OpenRoot(filepath.FromSlash(in))
	if err != nil {
		return nil, "", err
	}
	// A directory that was made here is entered first right after that.
	made := len(r.made) > 0 && r.made[len(r.made)-1].Path == in
	d, err := newDir(root, filepath.Join(r.target, filepath.FromSlash(in)), made)
	if err != nil {
		return nil, "", err
	}
	p.dir, p.path = d, in
	return d, base, nil
}

func (p *place) leave() {
	p.dir.release()
	p.dir = nil
}

// makeDir makes a directory in which this copy may write, whatever its mode
// will be. One that is there stays as it is.
func (r *receiver) makeDir(e *entry) error {
	d, base, err := r.entered.enter(r, e.Path)
	if err != nil {
		return err
	}
	err = d.root.Mkdir(base, 0o700)
	if err == nil {
		r.made = append(r.made, *e)
	} else if errors.Is(err, fs.ErrExist) {
		info, statErr := d.root.Lstat(base)
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

// completeDir gives a directory that was made its attributes, when nothing is
// to be written in it any more.
func (r *receiver) completeDir(e *entry) error {
	name := "."
	if e.Path != "" {
		name = filepath.FromSlash(e.Path)
	}
	d, err := r.top.root.OpenFile(name, os.O_RDONLY|openCalmly, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	if info, err := d.Stat(); err != nil || !info.IsDir() {
		return syscall.ENOTDIR // somebody has put something else there
	}
	a := r.attributes(e)
	if a.uid >= 0 || a.gid >= 0 {
		if err := d.Chown(a.uid, a.gid); err != nil {
			return err
		}
	}
	if err := d.Chmod(a.mode); err != nil {
		return err
	}
	if r.o.Sync {
		if err := syncDir(d); err != nil {
			return err
		}
	}
	if a.mtime.IsZero() {
		return nil
	}
	return r.top.root.Chtimes(name, time.Time{}, a.mtime)
}

// makeLink makes a symbolic link, whatever it points to: nothing here follows
// it out of the tree.
func (r *receiver) makeLink(e *entry) error {
	d, base, err := r.entered.enter(r, e.Path)
	if err != nil {
		return err
	}
	if e.Link == "" || len(e.Link) > maxPath {
		return protocolError("a symbolic link that can't be")
	}
	if now, err := d.root.Readlink(base); err == nil && now == e.Link {
		r.res.Links++
		return nil
	}
	err = d.root.Symlink(e.Link, base)
	if errors.Is(err, fs.ErrExist) && !r.o.NoReplace {
		err = replaceByLink(d, base, e.Link)
	}
	if err != nil {
		return err
	}
	r.res.Links++
	if r.o.Owner && e.UID >= 0 {
		return d.root.Lchown(base, e.UID, e.GID)
	}
	return nil
}

func replaceByLink(d *dir, base, link string) error {
	if info, err := d.root.Lstat(base); err == nil && info.IsDir() {
		return errIsDir
	} else if err == nil && !info.Mode().IsRegular() && info.Mode().Type() != fs.ModeSymlink {
		return fmt.Errorf("%w: it is %s", fs.ErrInvalid, specialName(info.Mode()))
	}
	name := tempName()
	if err := d.root.Symlink(link, name); err != nil {
		return err
	}
	err := d.root.Rename(name, base)
	if err != nil {
		_ = d.root.Remove(name)
	}
	return err
}

// attributes are what the options want of an entry's.
func (r *receiver) attributes(e *entry) attributes {
	a := attributes{mode: fileMode(e.Mode, r.o.Owner), told: r.o.Owner || r.o.Perm, uid: -1, gid: -1}
	if r.o.Mode != 0 && !r.tree {
		a.mode, a.told = r.o.Mode, true
	}
	if r.o.Times && e.MTime != noTime {
		a.mtime = e.modTime()
	}
	if r.o.Owner {
		a.uid, a.gid = e.UID, e.GID
	}
	return a
}

// complete gives a file that is there already, with the right contents, the
// attributes that it is to have and lacks.
func (r *receiver) complete(e *entry, d *dir, base string) error {
	a := r.attributes(e)
	if !a.told && a.uid < 0 && a.mtime.IsZero() {
		return nil
	}
	now, err := d.root.OpenFile(base, os.O_RDONLY|openCalmly, 0)
	if err != nil {
		return err
	}
	defer now.Close()
	info, err := now.Stat()
	if err != nil {
		return err
	}
	if err := a.impose(now, info); err != nil {
		return err
	}
	if a.mtime.IsZero() || a.mtime.Equal(info.ModTime()) {
		return nil
	}
	return d.root.Chtimes(base, time.Time{}, a.mtime)
}
