package image

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// keptPacked is the number of packed images that are kept: those of a few builds,
	// each for a few systems. One takes 2 to 3 MB.
	keptPacked = 24
	// maxPackedFile bounds the file of a packed image, in bytes.
	maxPackedFile = 256 << 20
)

// A PackedDir is a directory in which packed images are kept for later programs of the same
// user. It belongs to that user, with mode 0700. A file in it has the name HASH-SUM.CODEC:
// the SHA-256 of the image, and that of the file, which is checked when it is read. A file
// gets its name when it is complete.
//
// The nil pointer keeps nothing.
type PackedDir struct{ dir string }

// NewPackedDir returns a PackedDir for a directory, which is made when it is needed.
func NewPackedDir(dir string) *PackedDir { return &PackedDir{dir} }

func (p *PackedDir) prefix(i *Image) string { return hex.EncodeToString(i.Hash[:]) + "-" }

// load returns the image in a codec, nil if it is not there. It removes a file that has
// changed since it was written.
func (p *PackedDir) load(i *Image, c Codec) []byte {
	if p == nil || c == Raw || p.check() != nil {
		return nil
	}
	entries, _ := os.ReadDir(p.dir)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), p.prefix(i)) || !strings.HasSuffix(e.Name(), "."+c.String()) {
			continue
		}
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() > maxPackedFile {
			continue
		}
		name := filepath.Join(p.dir, e.Name())
		data, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if e.Name() != p.name(i, c, data) {
			_ = os.Remove(name)
			continue
		}
		now := time.Now()
		_ = os.Chtimes(name, now, now) // a failure only changes the order in which files are forgotten
		return data
	}
	return nil
}

func (p *PackedDir) name(i *Image, c Codec, data []byte) string {
	sum := sha256.Sum256(data)
	return p.prefix(i) + hex.EncodeToString(sum[:]) + "." + c.String()
}

// store keeps the image in a codec, and removes the images whose last use is longest ago.
func (p *PackedDir) store(i *Image, c Codec, data []byte) error {
	if err := p.Prepare(); err != nil {
		return err
	}
	f, err := os.CreateTemp(p.dir, halfPrefix)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(p.dir, p.name(i, c, data)))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	KeepNewest(p.dir, keptPacked, func(e fs.DirEntry) bool { return !strings.HasPrefix(e.Name(), halfPrefix) })
	forgetHalves(p.dir)
	return nil
}

// Prepare makes the directory. After an error nothing can be kept there.
func (p *PackedDir) Prepare() error {
	if p == nil {
		return errors.New("there is no directory for packed images: set Config.PackedDir")
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	return p.check()
}

// check returns an error if another user may have written into the directory, because the
// files there are executables.
func (p *PackedDir) check() error {
	info, err := os.Lstat(p.dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || !isPrivate(info) {
		return fmt.Errorf("%s is not a directory of this user alone: remove it, or give it to the user with mode 0700", p.dir)
	}
	return nil
}
