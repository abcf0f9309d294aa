package image

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"

	"github.com/mitosis-go/mitosis/bootstrap/internal/guard"
	"github.com/mitosis-go/mitosis/bootstrap/internal/slim"
)

var own struct {
	sync.Mutex
	image *Image
}

// Own is the running executable, without what only debuggers and
// tracebacks read (see package slim); read once for its hash. It works for
// executables that have no name any more. A failed read is tried again by the
// next call.
func Own() (*Image, error) {
	own.Lock()
	defer own.Unlock()
	if own.image != nil {
		return own.image, nil
	}
	image, err := slimImage(runtime.GOOS, runtime.GOARCH, guard.ReadSelf)
	if err != nil {
		return nil, err
	}
	own.image = image
	return image, nil
}

// OwnSource has the running executable only. Where a 32-bit one runs on 64 bits
// as well, it does for both.
func OwnSource(_ context.Context, goos, goarch string) (*Image, error) {
	if goos != runtime.GOOS || goarch != runtime.GOARCH && (goarch != "amd64" || runtime.GOARCH != "386") {
		return nil, fmt.Errorf("%w: %s/%s (this program is %s/%s; other images are supplied by configuration)",
			ErrNone, goos, goarch, runtime.GOOS, runtime.GOARCH)
	}
	return Own()
}

// CheckRelease returns an error where the running program was built by a release of Go
// that is not known here: its image is sent with tables that no child needs, and is a
// quarter larger.
func CheckRelease() error { return slim.CheckRelease(runtime.Version()) }

// OwnLoader is the path of the dynamic loader that the running executable needs, ""
// if it is static.
var OwnLoader = sync.OnceValue(func() string {
	path, err := guard.SelfPath()
	if err != nil {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	return slim.Loader(f)
})

// loaderOf is the loader that an executable in memory needs, "" if it is static.
func loaderOf(exe []byte) string { return slim.Loader(bytes.NewReader(exe)) }
