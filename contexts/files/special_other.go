//go:build !unix

package files

import (
	"errors"
	"os"
)

const noControl = 0

func waitInWrites(*os.File) {}

func duplicate(int, string) (*os.File, error) { return nil, errors.ErrUnsupported }
