package files

import (
	"context"
	"os"
	"path/filepath"

	"github.com/mitosis-go/mitosis/contexts"
)

var workingDirFunc = contexts.NewFunc("mitosis.files.workdir", func(context.Context, struct{}) (string, error) {
	dir, err := os.Getwd()
	return filepath.ToSlash(dir), err
})

// WorkingDir returns the directory in which a context was started, with slashes. Relative names of
// [Put], [Get] and commands begin there; those of [FS] begin at the root.
func WorkingDir(ctx context.Context, on contexts.Target) (string, error) {
	dir, err := workingDirFunc.Call(ctx, on, struct{}{})
	return dir, failedAt(on, "find the working directory", reasonWithin(err))
}
