package worker

import (
	"os"

	"github.com/mitosis-go/mitosis/bootstrap/internal/guard"
)

// TakeOver returns the files of a worker without a guard: its output goes to the
// carrier's standard error, and Output is at its end from the beginning.
func TakeOver() Files {
	r, w, err := os.Pipe()
	if err == nil {
		w.Close()
	}
	return Files{In: guard.Link.In, Out: guard.Link.Out, Output: r, Stderr: os.Stderr}
}
