package disk

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// Dir is an open directory in which files are made. It is closed when the last of its
// holders has released it; they may be different goroutines.
type Dir struct {
	// Immutable.
	Root *os.Root
	file *os.File // the same directory
	path string   // absolute, for messages
	Made bool     // this copy made it, so that it held nothing

	// stuck is Stuck.
	stuck func() error

	holders atomic.Int32
}

// NewDir returns the directory that root has open at an absolute path, with one holder.
// It owns root from now on.
func NewDir(root *os.Root, path string, made bool) (*Dir, error) {
	f, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, err
	}
	d := &Dir{Root: root, file: f, path: path, Made: made}
	d.stuck = sync.OnceValue(func() error { return mayMakeIn(d) })
	d.holders.Store(1)
	return d, nil
}

// Stuck returns why no file in the directory can be replaced, as far as that can be
// told beforehand; nil if perhaps one can.
func (d *Dir) Stuck() error { return d.stuck() }

// Hold adds a holder.
func (d *Dir) Hold() *Dir {
	d.holders.Add(1)
	return d
}

// Release takes a holder off. It may be called with a nil d.
func (d *Dir) Release() {
	if d != nil && d.holders.Add(-1) == 0 {
		d.file.Close()
		d.Root.Close()
	}
}

// name returns the absolute path of a file in the directory.
func (d *Dir) name(base string) string { return filepath.Join(d.path, base) }

// TempName returns a name that nobody can guess, for a file that will get another name
// or be removed.
func TempName() string { return ".mitosis-" + rand.Text() }
