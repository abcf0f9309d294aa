// Package image has the executables that children are made of. It takes out the parts that only
// debuggers read, packs them for their way to a far side, and keeps them for the next time.
//
// [Own] is the running executable, [Open] one in a file, which may have been packed ahead
// of time by cmd/pack. [Image.Encoded] packs fast, since a connect waits for it.
// [Image.Improve] packs as small as possible afterwards, and keeps the result in a
// [PackedDir], where later programs of the user find it. A child puts the image that it was
// made from into the cache of its own user: [KeepInCache].
//
// Goroutines pack, while a connect waits for them. Timers let memory go which was not used for a
// while. An Image may be used by any number of goroutines.
package image

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap/internal/slim"
)

// An Image is an executable that children can be made of. Any number of connects may use
// it at once.
type Image struct {
	// Immutable.
	Hash   [32]byte // SHA-256 of the file that the far side executes
	Size   int64    // bytes, unpacked
	GOOS   string
	GOARCH string
	Loader string                 // the path of the dynamic loader that it needs, "" for a static executable
	read   func() ([]byte, error) // returns the same bytes each time
	whole  error                  // why parts that no child needs were left in it; nil: they were taken out

	// Fingerprint is the hash of the functions that the program registers; zero: it is
	// not known.
	Fingerprint [32]byte
	// ready returns forms that were packed ahead of time; nil: such a form does not exist.
	ready [codecs]func() ([]byte, error)

	fresh atomic.Pointer[[]byte] // the executable as it was read for the hash; kept until it is first packed, or for encodedLife
	forms [codecs]form
}

// A Source supplies the image for an operating system and architecture, by
// their Go names. The error matches [ErrNone] where there is none.
type Source func(ctx context.Context, goos, goarch string) (*Image, error)

var (
	// ErrNone: there is no executable for the far side's system.
	ErrNone = errors.New("no image for this system")
	// ErrHash: an image is not the one that was sent or kept.
	ErrHash = errors.New("the image did not arrive unharmed")
)

// Open returns the executable in a file of fsys, without the parts that no child needs. Where
// cmd/pack has made files of that name, it returns the image in these. Otherwise it
// reads the file for its hash, and again when the image is packed.
func Open(fsys fs.FS, name, goos, goarch string) (*Image, error) {
	if i, err := prepared(fsys, name, goos, goarch); i != nil || err != nil {
		return i, err
	}
	return slimImage(goos, goarch, func() ([]byte, error) { return fs.ReadFile(fsys, name) })
}

// slimImage makes an image of an executable that read returns in full. It takes out the
// parts that no child needs.
func slimImage(goos, goarch string, read func() ([]byte, error)) (*Image, error) {
	var whole error
	var first []byte
	var once sync.Once
	image, err := newImage(goos, goarch, func() ([]byte, error) {
		exe, err := read()
		if err != nil {
			return nil, err
		}
		exe, why := slim.Strip(exe)
		once.Do(func() { first, whole = exe, why })
		return exe, nil
	})
	if err != nil {
		return nil, err
	}
	image.whole = whole
	// The image is mostly packed at once.
	image.fresh.Store(&first)
	time.AfterFunc(encodedLife, func() { image.fresh.Store(nil) })
	return image, nil
}

// Unpack returns the image whose gzip form is packed, as [Image.Encoded] made it in another
// context. The image is kept packed. packed must not change any more. The error is [ErrHash]
// if the image has another hash.
func Unpack(packed []byte, goos, goarch string, hash [32]byte) (*Image, error) {
	form := func() ([]byte, error) { return packed, nil }
	image, err := newImage(goos, goarch, func() ([]byte, error) { return gunzip(form) })
	if err != nil {
		return nil, err
	}
	if image.Hash != hash {
		return nil, ErrHash
	}
	image.ready[Gzip] = form
	return image, nil
}

// Whole returns why parts that no child needs were left in the image; nil: they were taken
// out.
func (i *Image) Whole() error { return i.whole }

// maxImage bounds the size of an unpacked image, in bytes.
const maxImage = 512 << 20

// New makes an image of an executable in memory. data must not change any more.
func New(data []byte, goos, goarch string) *Image {
	i, _ := newImage(goos, goarch, func() ([]byte, error) { return data, nil })
	return i
}

func newImage(goos, goarch string, read func() ([]byte, error)) (*Image, error) {
	data, err := read()
	if err != nil {
		return nil, fmt.Errorf("image %s/%s: %w", goos, goarch, err)
	}
	return &Image{
		Hash: sha256.Sum256(data), Size: int64(len(data)), GOOS: goos, GOARCH: goarch, Loader: loaderOf(data), read: read,
	}, nil
}

func (i *Image) encode(ctx context.Context, c Codec, e effort) ([]byte, error) {
	data, err := i.content()
	if err == nil && c != Raw {
		data, err = pack(ctx, c, e, data)
	}
	if err != nil {
		return nil, fmt.Errorf("image %s/%s: packing as %v: %w", i.GOOS, i.GOARCH, c, err)
	}
	return data, nil
}

// content returns the bytes that were hashed.
func (i *Image) content() ([]byte, error) {
	if fresh := i.fresh.Swap(nil); fresh != nil {
		return *fresh, nil
	}
	data, err := i.read()
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(data) != i.Hash {
		return nil, errors.New("the executable has changed since it was hashed: start the program again")
	}
	return data, nil
}
