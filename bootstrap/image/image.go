// Package image has the executables that children are made of. It takes out the parts that only
// debuggers read, packs them for their way to a far side, and keeps them for the next time.
//
// [Own] is the running executable, [Open] one in a file, which may have been packed ahead
// of time by cmd/pack. [Image.Encoded] packs fast, since a connect waits for it.
// [Image.Improve] packs as small as possible afterwards, and keeps the result in a
// [PackedDir], where later programs of the user find it. A child puts the image that it was
// made from into the cache of its own user: [KeepInCache].
//
// The package starts no goroutines, but for timers that let memory go which was not used
// for a while. An Image may be used by any number of goroutines.
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

// encodedLife is the time for which a packed image is kept in memory after its last use. It
// covers a series of connects. After that a few megabytes are worth more than the tens of
// milliseconds of packing again.
const encodedLife = 30 * time.Second

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

// A form is the image in one codec.
type form struct {
	mu        sync.Mutex // held while packing fast
	data      []byte     // nil until packed, and after encodedLife without use
	best      bool       // data was packed with best
	improving bool
	uses      uint64
	timer     *time.Timer
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

// Encoded returns the image in a codec, which must not be changed. It takes the form in
// kept, or else packs fast, because a connect waits; see Improve. However many connects ask
// at the same time, the image is packed once. Packing ends early when ctx does.
func (i *Image) Encoded(ctx context.Context, c Codec, kept *PackedDir) ([]byte, error) {
	if c >= codecs {
		return nil, fmt.Errorf("image: unknown codec %d", c)
	}
	f := &i.forms[c]
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.data == nil {
		data, isBest, err := i.known(c, kept)
		if err != nil {
			return nil, err
		}
		if data == nil {
			if data, err = i.encode(ctx, c, fast); err != nil {
				return nil, err
			}
		}
		f.data, f.best = data, isBest
	}
	f.useLocked()
	return f.data, nil
}

// known returns the image in a codec where it need not be packed, or else nil.
func (i *Image) known(c Codec, kept *PackedDir) (data []byte, isBest bool, err error) {
	if ready := i.ready[c]; ready != nil {
		data, err = ready()
		return data, true, err
	}
	data = kept.load(i, c)
	return data, data != nil, nil
}

// useLocked notes a use. A timer lets the data go after encodedLife without another.
func (f *form) useLocked() {
	f.uses++
	uses := f.uses
	if f.timer != nil {
		f.timer.Stop()
	}
	f.timer = time.AfterFunc(encodedLife, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.uses == uses {
			f.data, f.best, f.timer = nil, false, nil
		}
	})
}

// Improve packs the image as small as possible, unless that has been done, and puts it into
// kept, where later programs find it. It takes about half a second of one processor, and
// returns early when ctx ends. Connects that ask meanwhile get the form that there is.
func (i *Image) Improve(ctx context.Context, c Codec, kept *PackedDir) error {
	if c == Raw {
		return nil
	}
	f := &i.forms[c]
	f.mu.Lock()
	wanted := !f.best && !f.improving
	f.improving = f.improving || wanted
	f.mu.Unlock()
	if !wanted {
		return nil
	}
	data, isBest, err := i.known(c, kept)
	if !isBest {
		if data, err = i.encode(ctx, c, best); err == nil && kept != nil {
			err = kept.store(i, c, data)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.improving = false
	if data != nil {
		f.data, f.best = data, true
		f.useLocked()
	}
	return err
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
