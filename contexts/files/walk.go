package files

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/mitosis-go/mitosis/contexts/files/internal/checksum"
	"github.com/mitosis-go/mitosis/contexts/files/internal/disk"
	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
	"github.com/mitosis-go/mitosis/core"
)

// walker announces the entries of a tree: each directory before the entries in it, and
// those in the order of their names.
type walker struct {
	src     *source
	o       Options
	emit    func(*wire.Entry) bool // it returns false to end the walk
	skipped []string
	size    int // of skipped, in bytes
	entries int
}

// walk walks one directory, which is open, and everything below it.
func (w *walker) walk(dir *os.Root, path string, depth int) error {
	if depth > w.o.MaxDepth {
		return w.src.failure(path, fmt.Errorf("%w: directories are nested more than %d deep", core.ErrTooLarge, w.o.MaxDepth))
	}
	names, err := readNames(dir)
	if err != nil {
		return w.src.failure(path, err)
	}
	for _, name := range names {
		below := name
		if path != "" {
			below = path + "/" + name
		}
		if err := w.visit(dir, name, below, depth); err != nil {
			return err
		}
	}
	return nil
}

func readNames(dir *os.Root) ([]string, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func (w *walker) visit(dir *os.Root, name, path string, depth int) error {
	info, err := dir.Lstat(name)
	if err != nil {
		return w.src.failure(path, err)
	}
	e := &wire.Entry{Path: path}
	describe(e, info)
	switch info.Mode().Type() {
	case 0:
		e.Sparse = w.sparse(dir, name, e.Size)
	case fs.ModeDir:
		e.Kind, e.Size = wire.KindDir, 0
	case fs.ModeSymlink:
		e.Kind, e.Size = wire.KindSymlink, 0
		if e.Symlink, err = dir.Readlink(name); err != nil {
			return w.src.failure(path, err)
		}
	default:
		if len(w.skipped) < maxSkipped && w.size+len(path) <= maxSkippedSize {
			w.skipped = append(w.skipped, path)
			w.size += len(path)
		}
		return nil
	}
	if w.entries++; w.entries > w.o.MaxEntries {
		return w.src.failure(path, fmt.Errorf("%w: more than %d entries", core.ErrTooLarge, w.o.MaxEntries))
	}
	if !w.emit(e) {
		return io.ErrClosedPipe
	}
	if e.Kind != wire.KindDir {
		return nil
	}
	sub, err := dir.OpenRoot(name)
	if err != nil {
		return w.src.failure(path, err)
	}
	defer sub.Close()
	return w.walk(sub, path, depth+1)
}

// sparse reports whether a file has large holes.
func (w *walker) sparse(dir *os.Root, name string, size int64) bool {
	if size <= checksum.MaxHoles {
		return false
	}
	f, err := dir.OpenFile(name, os.O_RDONLY|disk.NoWait, 0)
	if err != nil {
		return false // sending it will fail with the same error
	}
	defer f.Close()
	return checksum.IsSparse(f, size)
}
