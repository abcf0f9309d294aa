//go:build !unix

package disk

import (
	"errors"
	"os"
)

// NoControl is needed on Unix only.
const NoControl = 0

func waitInWrites(*os.File) {}

func duplicate(int, string) (*os.File, error) { return nil, errors.ErrUnsupported }
