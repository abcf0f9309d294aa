package contexts

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	localhop "github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts/internal/images"
)

// imageOf has a context get an image, as a hop would, and returns the image's hash.
var imageOf = NewFunc("test.image.of", func(ctx context.Context, sys images.System) ([32]byte, error) {
	image, err := callOf(ctx).l.images.Image(ctx, sys.GOOS, sys.GOARCH)
	if err != nil {
		return [32]byte{}, err
	}
	return image.Hash, nil
})

// An image that two contexts below the same one want at the same time crosses
// each link once.
func TestImageCrossesEachLinkOnce(t *testing.T) {
	foreign := images.System{GOOS: "linux", GOARCH: "riscv64"}
	data := make([]byte, 1<<20) // random bytes, which don't compress
	rand.NewChaCha8([32]byte{}).Read(data)
	self, err := Start(t.Context(), &Config{Images: fstest.MapFS{foreign.File(): {Data: data}}})
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	connected := func(from *Node) *Node {
		t.Helper()
		n, err := from.Connect(t.Context(), localhop.Child{})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	a := connected(self)
	leaves := []*Node{connected(a), connected(a)}
	var wg sync.WaitGroup
	for range 4 {
		for _, n := range leaves {
			wg.Go(func() {
				if got, err := imageOf.Call(t.Context(), n, foreign); err != nil || got != sha256.Sum256(data) {
					t.Errorf("the image at %v has the hash %x, error %v, want %x", n, got, err, sha256.Sum256(data))
				}
			})
		}
	}
	wg.Wait()
	tree, err := self.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range tree[1:] {
		if size := uint64(len(data)); info.BytesSent < size || info.BytesSent > size*3/2 {
			t.Errorf("%d bytes were sent to %s for an image of %d, want it sent once", info.BytesSent, info.Path, size)
		}
	}
}

func TestImageThatIsMissing(t *testing.T) {
	self, err := Start(t.Context(), &Config{NoBuild: true, Images: fstest.MapFS{"linux_arm": {Mode: fs.ModeDir}}})
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	a, err := self.Connect(t.Context(), localhop.Child{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []*Node{self, a} {
		_, err := imageOf.Call(t.Context(), n, images.System{GOOS: "linux", GOARCH: "s390x"})
		if !errors.Is(err, ErrNoImage) || !strings.Contains(err.Error(), `"linux_s390x" in Config.Images`) {
			t.Errorf("a missing image at %v: error %v, want %v with the name of the image", n, err, ErrNoImage)
		}
		// An image that exists and can't be read is not missing.
		if _, err := imageOf.Call(t.Context(), n, images.System{GOOS: "linux", GOARCH: "arm"}); err == nil || errors.Is(err, ErrNoImage) {
			t.Errorf("an unreadable image at %v: error %v, want one other than %v", n, err, ErrNoImage)
		}
		for _, strange := range []images.System{{GOOS: "linux", GOARCH: "../x"}, {GOOS: "plan9", GOARCH: "amd64"}, {}} {
			if _, err := imageOf.Call(t.Context(), n, strange); !errors.Is(err, ErrNoImage) {
				t.Errorf("an image for %v at %v: error %v, want %v", strange, n, err, ErrNoImage)
			}
		}
	}
}
