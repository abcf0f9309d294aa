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

// Own returns the running executable, without the parts that only debuggers and tracebacks
// read (see package slim). It is read once for its hash, even if its file has no name any
// more. After a failed read the next call tries again.
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

// OwnSource is a [Source] of the running executable only. A program for 386 serves amd64 as
// well.
func OwnSource(_ context.Context, goos, goarch string) (*Image, error) {
	if goos != runtime.GOOS || goarch != runtime.GOARCH && (goarch != "amd64" || runtime.GOARCH != "386") {
		return nil, fmt.Errorf("%w: %s/%s (this program is %s/%s: supply other images in Config.Images, or let Config.Sources build them)",
			ErrNone, goos, goarch, runtime.GOOS, runtime.GOARCH)
	}
	return Own()
}

// CheckRelease returns an error if the running program was built by a release of Go that this
// package does not know. Its image then keeps tables that no child needs, and is a quarter
// larger.
func CheckRelease() error { return slim.CheckRelease(runtime.Version()) }

// OwnLoader returns the path of the dynamic loader that the running executable needs, ""
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

// loaderOf returns the loader that an executable in memory needs, "" if it is static.
func loaderOf(exe []byte) string { return slim.Loader(bytes.NewReader(exe)) }
