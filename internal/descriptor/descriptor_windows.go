package descriptor

import (
	"io"
	"os"
)

// ReadNow: pipes have no deadlines here, so nobody asks.
func ReadNow(*os.File, []byte) (int, error) { return 0, io.EOF }

// IsTerminalEnd: there are no terminals here.
func IsTerminalEnd(error) bool { return false }
