package bootstrap

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap/internal/fold"
	"github.com/mitosis-go/mitosis/bootstrap/internal/guard"
	"github.com/mitosis-go/mitosis/bootstrap/internal/slim"
)

// encodedLife is how long a packed image is kept after its last use. It covers
// a run of connects; after that a few megabytes are worth more than the tens of
// milliseconds of packing again.
const encodedLife = 30 * time.Second

// An Image is an executable that children can be made of. It may be used by
// any number of connects at once.
type Image struct {
	// Immutable.
	Hash   [32]byte // SHA-256 of what is executed in the end
	Size   int64    // bytes, unpacked
	GOOS   string
	GOARCH string
	read   func() ([]byte, error) // the same bytes each time
	whole  error                  // why it has what no child needs, if so
	packed *Encoding              // its gzip form where that is at hand for good, or nil

	fresh atomic.Pointer[[]byte] // what was read for the hash, until it is packed for the first time or a while has passed
	forms [codecs]form
}

// An Encoding is an image on its way.
type Encoding struct {
	Data []byte   // must not be changed
	Hash [32]byte // SHA-256 of what Data unpacks to, which is the image or unfolds itself to it: see package fold
	flat error    // why it is not folded, if so
}

// A form is the image in one codec.
type form struct {
	mu    sync.Mutex // held while packing
	enc   *Encoding  // nil until packed, and again when it has not been used for a while
	best  bool       // it is as small as it can be, or is being made so
	uses  uint64
	timer *time.Timer
}

// A Source supplies the image for an operating system and architecture, by
// their Go names. An error that is [ErrNoImage] says that there is none.
type Source func(ctx context.Context, goos, goarch string) (*Image, error)

// ErrNoImage reports that there is no executable for the far side's system.
var ErrNoImage = errors.New("no image for this system")

var own struct {
	sync.Mutex
	image *Image
}

// OwnImage is the running executable, without what only debuggers and
// tracebacks read (see package slim); read once for its hash. It works for
// executables that have no name any more. A failed read is tried again by the
// next call.
func OwnImage() (*Image, error) {
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
			ErrNoImage, goos, goarch, runtime.GOOS, runtime.GOARCH)
	}
	return OwnImage()
}

// OpenImage is the executable in a file of fsys, without what no child needs, as
// for [OwnImage]. Only its hash is read at once.
func OpenImage(fsys fs.FS, name, goos, goarch string) (*Image, error) {
	return slimImage(goos, goarch, func() ([]byte, error) { return fs.ReadFile(fsys, name) })
}

// slimImage is an image of an executable that is read in full each time, but for
// what no child needs.
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
	// Mostly it is packed at once.
	image.fresh.Store(&first)
	time.AfterFunc(encodedLife, func() { image.fresh.Store(nil) })
	return image, nil
}

// UnpackImage is the image of which packed is the gzip form, as [Image.Encoded]
// made it elsewhere. It is kept packed. packed must not change any more.
func UnpackImage(packed []byte, goos, goarch string, hash [32]byte) (*Image, error) {
	var sent [32]byte
	var once sync.Once
	image, err := newImage(goos, goarch, func() ([]byte, error) {
		r, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(io.LimitReader(r, maxImage+1))
		if err == nil && len(data) > maxImage {
			err = fmt.Errorf("above %d bytes", maxImage)
		}
		once.Do(func() { sent = sha256.Sum256(data) })
		fold.Unfold(data)
		return data, err
	})
	if err != nil {
		return nil, err
	}
	if image.Hash != hash {
		return nil, ErrImageHash
	}
	image.packed = &Encoding{Data: packed, Hash: sent}
	return image, nil
}

// maxImage bounds what an image may unpack to, in bytes.
const maxImage = 512 << 20

// NewImage is an executable in memory. data must not change any more.
func NewImage(data []byte, goos, goarch string) *Image {
	i, _ := newImage(goos, goarch, func() ([]byte, error) { return data, nil })
	return i
}

func newImage(goos, goarch string, read func() ([]byte, error)) (*Image, error) {
	data, err := read()
	if err != nil {
		return nil, fmt.Errorf("image %s/%s: %w", goos, goarch, err)
	}
	return &Image{
		Hash: sha256.Sum256(data), Size: int64(len(data)), GOOS: goos, GOARCH: goarch, read: read,
	}, nil
}

// Encoded is the image in a codec. It is packed once, however many connects ask at
// the same time, and in a hurry, because somebody waits; see Improve.
func (i *Image) Encoded(c Codec) (*Encoding, error) {
	if c >= codecs {
		return nil, fmt.Errorf("image: unknown codec %d", c)
	}
	f := &i.forms[c]
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.enc == nil {
		enc, err := i.encode(c, true)
		if err != nil {
			return nil, fmt.Errorf("image %s/%s: packing as %v: %w", i.GOOS, i.GOARCH, c, err)
		}
		f.enc = enc
	}
	f.uses++
	uses := f.uses
	if f.timer != nil {
		f.timer.Stop()
	}
	f.timer = time.AfterFunc(encodedLife, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.uses == uses {
			f.enc, f.best, f.timer = nil, false, nil
		}
	})
	return f.enc, nil
}

// Improve replaces the image in a codec by one that is as small as it can be,
// which takes a few hundred milliseconds of a processor for zstd, and two seconds for
// gzip. It is for those who have seen that the way is slow and the image wanted; those
// who ask meanwhile get what there is.
func (i *Image) Improve(c Codec) {
	f := &i.forms[c]
	f.mu.Lock()
	wanted := c != Raw && !f.best && f.enc != nil
	f.best = f.best || wanted
	f.mu.Unlock()
	if !wanted {
		return
	}
	enc, err := i.encode(c, false)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && f.enc != nil {
		f.enc = enc
	}
}

func (i *Image) encode(c Codec, hurry bool) (*Encoding, error) {
	if c == Gzip && i.packed != nil {
		return i.packed, nil
	}
	data, err := i.content()
	if err != nil {
		return nil, err
	}
	if c == Raw {
		return &Encoding{Data: data, Hash: i.Hash}, nil
	}
	folded := bytes.Clone(data)
	e := &Encoding{flat: fold.Fold(folded)}
	var hashing sync.WaitGroup
	hashing.Go(func() { e.Hash = sha256.Sum256(folded) })
	e.Data = pack(c, folded, hurry)
	hashing.Wait()
	return e, nil
}

// content is what was hashed.
func (i *Image) content() ([]byte, error) {
	if fresh := i.fresh.Swap(nil); fresh != nil {
		return *fresh, nil
	}
	data, err := i.read()
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(data) != i.Hash {
		return nil, errors.New("the executable has changed")
	}
	return data, nil
}
