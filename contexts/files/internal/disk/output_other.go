//go:build !linux

package disk

import (
	"errors"
	"os"
	"runtime"
	"time"
)

// openUnnamed: only Linux has files without a name that can get one.
func openUnnamed(*Dir) (*os.File, error) { return nil, errors.ErrUnsupported }

func linkUnnamed(*os.File, *Dir, string) error { return errors.ErrUnsupported }

func setUnnamedTime(*os.File, time.Time) error { return errors.ErrUnsupported }

// syncDir writes the names in a directory through. Windows does so by itself,
// and refuses to be asked.
func syncDir(f *os.File) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	return f.Sync()
}
