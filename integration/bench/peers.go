//go:build linux

package main

import (
	"context"
	_ "embed"
	"os/exec"
	"strconv"
	"time"
)

//go:embed mitogen.py
var mitogenProgram string

// python is Debian's own, for which Debian's mitogen is installed.
const python = "/usr/bin/python3"

// peerLimit bounds the time of all of the peer's jobs.
const peerLimit = 5 * time.Minute

// peerRows has Mitogen do the same jobs between the same hosts. Its rows have no budget. They are
// there for comparison.
func peerRows(ctx context.Context, h *hosts) ([]row, error) {
	if err := exec.CommandContext(ctx, python, "-c", "import mitogen").Run(); err != nil {
		return []row{{What: "Mitogen", Missing: "left out: python3-mitogen is not installed"}}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, peerLimit)
	defer cancel()
	out, err := h.run(ctx, python, "-c", mitogenProgram, serverName, userName, strconv.Itoa(rounds(5)))
	rows, decodeErr := decodeLines[row](out)
	if err == nil {
		err = decodeErr
	}
	return rows, err
}
