//go:build !linux

package disk

import (
	"errors"
	"os"
	"runtime"
	"time"
)

// openUnnamed fails: only Linux has files without a name that can get one.
func openUnnamed(*Dir) (*os.File, error) { return nil, errors.ErrUnsupported }

func linkUnnamed(*os.File, *Dir, string) error { return errors.ErrUnsupported }

func setUnnamedTime(*os.File, time.Time) error { return errors.ErrUnsupported }

// syncDir writes the names in a directory to the disk. Windows does so by itself, and
// refuses the request.
func syncDir(f *os.File) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	return f.Sync()
}
