package sftp

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

func (s *server) stat(q *request) error {
	a, err := attributesOf(s.local(q.path))
	return s.answerAttrs(q, a, err)
}

func (s *server) lstat(q *request) error {
	a, err := attributesOfLink(s.local(q.path))
	return s.answerAttrs(q, a, err)
}

func (s *server) setstat(q *request) error {
	name := s.local(q.path)
	return q.attrs.apply(changer{
		truncate: func(size int64) error { return os.Truncate(name, size) },
		chmod:    func(mode os.FileMode) error { return os.Chmod(name, mode) },
		chtimes:  func(atime, mtime time.Time) error { return os.Chtimes(name, atime, mtime) },
		chown:    func(uid, gid int) error { return os.Chown(name, uid, gid) },
	})
}

// lsetstat changes the attributes of a symbolic link itself.
func (s *server) lsetstat(q *request) error {
	if q.attrs.flags&attrSize != 0 {
		return statusBadMessage // the size of a symbolic link can't be set
	}
	name := s.local(q.path)
	return q.attrs.apply(changer{
		chmod:   func(os.FileMode) error { return chmodLink(name, &q.attrs) },
		chtimes: func(atime, mtime time.Time) error { return setLinkTimes(name, atime, mtime) },
		chown:   func(uid, gid int) error { return os.Lchown(name, uid, gid) },
	})
}

func (s *server) remove(q *request) error { return removeFile(s.local(q.path)) }

func (s *server) rmdir(q *request) error { return removeDir(s.local(q.path)) }

func (s *server) mkdir(q *request) error {
	return os.Mkdir(s.local(q.path), q.attrs.newMode(0o777))
}

// rename never replaces a file. It gives a regular file the second name first, which fails
// if another process has made a file of that name at any time. For other files, and on
// file systems without hard links, it looks whether the name is taken.
func (s *server) rename(q *request) error {
	from, to := s.local(q.path), s.local(q.newPath)
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() {
		err := os.Link(from, to)
		if err == nil {
			if err = removeFile(from); err != nil {
				_ = removeFile(to)
			}
			return err
		}
		if errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if _, err := os.Stat(to); err == nil {
		return fs.ErrExist
	}
	return rename(from, to)
}

// posixRename replaces a file that has the new name.
func (s *server) posixRename(q *request) error {
	return rename(s.local(q.path), s.local(q.newPath))
}

func (s *server) hardlink(q *request) error {
	return os.Link(s.local(q.path), s.local(q.newPath))
}

// symlink makes a symbolic link with the text of the request, whatever directory relative
// paths start in.
func (s *server) symlink(q *request) error {
	return os.Symlink(q.path, s.local(q.newPath))
}

func (s *server) readlink(q *request) error {
	target, err := os.Readlink(s.local(q.path))
	if err != nil {
		return err
	}
	s.answerName(q, target)
	return nil
}

func (s *server) realpath(q *request) error {
	if q.path == "" {
		q.path = "."
	}
	name, err := realPath(s.local(q.path))
	if err != nil {
		return err
	}
	s.answerName(q, name)
	return nil
}
