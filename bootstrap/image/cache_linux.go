package image

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/bootstrap/internal/guard"
)

// keptInCache bounds the number of images in a user's cache, of this and of other programs.
// Those that were used last stay.
const keptInCache = 8

// KeepInCache puts the image that this child was made from into the cache of its user,
// $XDG_CACHE_HOME/mitosis or else ~/.cache/mitosis. The next child is started from there. If
// the image is there already, KeepInCache only notes the use. harmed reports that another file
// had its name, which has been replaced. After an error the cache is as it was, except
// that old images may be gone; the child goes on without it.
//
// KeepInCache makes missing directories where the user owns the directory above. It is an error
// if another user owns a directory or may write to it, if it is a symbolic link, or if its
// file system does not allow execution.
//
// Any number of children may do this at the same time: each writes a file of its
// own, which gets its name when it is complete.
func KeepInCache() (harmed bool, err error) {
	if guard.ImageHash == "" {
		return false, errors.New("this process was not made from an image that was sent")
	}
	dir, err := openCache()
	if err != nil {
		return false, err
	}
	defer dir.Close()
	name, err := cacheName(guard.ImageHash)
	if err != nil {
		return false, err
	}
	// The directory that was checked is used: its path may lead to another one by now.
	base := fmt.Sprintf("/proc/self/fd/%d", dir.Fd())
	path := filepath.Join(base, name)
	there, harmed := inspect(path)
	if !there {
		if err := store(base, path); err != nil {
			return false, err
		}
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // a failure only changes the order in which images are removed
	forgetCached(base)
	return harmed, nil
}

// cacheName returns the name of an image's file. The part "cache" of the first stage has the
// same rule.
func cacheName(hash string) (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", os.NewSyscallError("uname", err)
	}
	return hash + "-" + unix.ByteSliceToString(u.Machine[:]), nil
}

// openCache opens the directory, and makes it where it is missing.
func openCache() (*os.File, error) {
	above, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	for _, path := range []string{above, filepath.Join(above, "mitosis")} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		// In somebody else's home a directory of ours would only be in the way.
		if info, err := os.Stat(filepath.Dir(path)); err != nil {
			return nil, err
		} else if !isOurs(info) {
			return nil, fmt.Errorf("%s is not made, because the directory above belongs to another user", path)
		}
		if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		// A umask may have taken rights of our own away.
		if info, err := os.Lstat(path); err == nil && info.IsDir() && info.Mode().Perm()&0o700 != 0o700 {
			if err := os.Chmod(path, 0o700); err != nil {
				return nil, err
			}
		}
	}
	path := filepath.Join(above, "mitosis")
	dir, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := dir.Stat()
	var system unix.Statfs_t
	if err == nil {
		err = unix.Fstatfs(int(dir.Fd()), &system)
	}
	switch {
	case err != nil:
	case !isOurs(info):
		err = fmt.Errorf("%s belongs to another user", path)
	case info.Mode().Perm()&0o077 != 0:
		err = fmt.Errorf("%s is open to other users (mode %o, want 700)", path, info.Mode().Perm())
	case system.Flags&unix.ST_NOEXEC != 0:
		err = fmt.Errorf("%s is on a file system that does not allow execution", path)
	}
	if err != nil {
		dir.Close()
		return nil, err
	}
	return dir, nil
}

// inspect reports whether the image is there in a state that the first stage accepts, and if
// not, whether another file has its name.
func inspect(path string) (there, harmed bool) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, !errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || !isOurs(info) || info.Mode().Perm()&^0o200 != 0o500 {
		return false, true
	}
	if self, err := os.Stat("/proc/self/exe"); err == nil && os.SameFile(self, info) {
		return true, false // it was hashed before it was executed, and can't change since
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil || hex.EncodeToString(h.Sum(nil)) != guard.ImageHash {
		return false, true
	}
	return true, false
}

// store writes our own executable, and gives it its name when it is complete and right. If a
// process forks while the file is open for writing, the file can't be executed until that
// process has called exec. A child that is started in between uses another start method.
func store(base, path string) error {
	self, err := guard.ReadSelf()
	if err != nil {
		return err
	}
	half := filepath.Join(base, halfPrefix+guard.Marker)
	f, err := os.OpenFile(half, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o500)
	if err != nil {
		return err
	}
	_, err = f.Write(self)
	if err == nil {
		err = f.Chmod(0o500) // a umask may have taken rights of our own away
	}
	if err = errors.Join(err, f.Close()); err == nil {
		if right, _ := inspect(half); !right {
			err = ErrHash
		}
	}
	// Rename replaces a file of that name, but not a directory.
	if err == nil {
		if err = os.Rename(half, path); err != nil && os.RemoveAll(path) == nil {
			err = os.Rename(half, path)
		}
	}
	if err != nil {
		_ = os.Remove(half)
	}
	return err
}

// forgetCached removes the images whose last use is longest ago, and files that were never
// completed.
func forgetCached(base string) {
	KeepNewest(base, keptInCache, func(e fs.DirEntry) bool {
		hash, _, dashed := strings.Cut(e.Name(), "-")
		return dashed && len(hash) == 2*sha256.Size
	})
	forgetHalves(base)
}
