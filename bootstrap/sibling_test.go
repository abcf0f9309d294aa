//go:build linux

package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// Where there is no image for the architecture that a host names, it is asked whether it
// executes one for the other that its processor may have: a personality names another than
// the kernel's.
func TestNoImageForTheArchitectureThatIsNamed(t *testing.T) {
	needRoot(t)
	named := map[string]string{"amd64": "i686", "arm64": "armv7l"}[runtime.GOARCH]
	if named == "" {
		t.Skip("the processor has one architecture only")
	}
	dir := saysMachine(t, named)
	for _, method := range startMethods {
		for _, hasOther := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, other image %v", method, hasOther), func(t *testing.T) {
				t.Parallel()
				var mu sync.Mutex
				var asked []string // guarded by mu: the packing asks ahead
				o := opts()
				o.StartMethods = []string{method}
				o.Images = func(ctx context.Context, goos, goarch string) (*image.Image, error) {
					mu.Lock()
					asked = append(asked, goarch)
					mu.Unlock()
					if goarch != runtime.GOARCH || !hasOther {
						return nil, fmt.Errorf("%w: %s/%s: could not be built", ErrNoImage, goos, goarch)
					}
					return image.OwnSource(ctx, goos, goarch)
				}
				l := NewLaunch(o)
				c := start(t, l.in(dir, ""))
				if hasOther {
					if s := born(t, l, c, ""); s.Hello.GOARCH != runtime.GOARCH {
						t.Errorf("a child of %s, want %s", s.Hello.GOARCH, runtime.GOARCH)
					}
					return
				}
				_, err := l.Run(bound(t), c)
				want := siblings[runtime.GOARCH] + ": could not be built"
				if !errors.Is(err, ErrNoImage) || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want the one for the architecture that is named: %s", err, want)
				}
				mu.Lock()
				defer mu.Unlock()
				if last := asked[len(asked)-1]; last != runtime.GOARCH {
					t.Errorf("images were asked for in the order %q, want %s last", asked, runtime.GOARCH)
				}
			})
		}
	}
}
