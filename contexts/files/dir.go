package files

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// dir is an open directory in which files are made. It is closed when nobody
// holds it any more.
type dir struct {
	// Immutable.
	root *os.Root
	file *os.File // the same directory
	path string   // absolute, for messages
	made bool     // it was made by this copy and held nothing

	// stuck returns why no file in it can be replaced, as far as that can be told
	// beforehand.
	stuck func() error

	holders atomic.Int32
}

// newDir takes over root, and is held once.
func newDir(root *os.Root, path string, made bool) (*dir, error) {
	f, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, err
	}
	d := &dir{root: root, file: f, path: path, made: made}
	d.stuck = sync.OnceValue(func() error { return mayMakeIn(d) })
	d.holders.Store(1)
	return d, nil
}

func (d *dir) hold() *dir {
	d.holders.Add(1)
	return d
}

func (d *dir) release() {
	if d != nil && d.holders.Add(-1) == 0 {
		d.file.Close()
		d.root.Close()
	}
}

// name returns the absolute path of a file in the directory.
func (d *dir) name(base string) string { return filepath.Join(d.path, base) }

// tempName returns a name that nobody can guess, for a file that will get
// another or be removed.
func tempName() string { return ".mitosis-" + rand.Text() }
