package image

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
)

// cmd/pack has made a prepared image slim and packed it. Its files are named after its
// system:
//
//	linux_amd64.sum  SHA-256 and length of the unpacked image, and the program's fingerprint
//	linux_amd64.gz   always there; the image is unpacked from it where the far side can't
//	linux_amd64.zst
//	linux_amd64.xz
//
// It is unpacked here only for a far side that has no program for that. The far side checks
// the hash.

// suffixes are those of the files of a prepared image, by codec.
var suffixes = [codecs]string{Gzip: ".gz", Zstd: ".zst", Xz: ".xz"}

// sumSuffix ends the name of the file that describes a prepared image.
const sumSuffix = ".sum"

// Suffix returns the end of the name of a prepared image's file in this codec, "" if there
// are no such files.
func (c Codec) Suffix() string { return suffixes[c] }

var errSum = errors.New("malformed description of a packed image: make it again with cmd/pack")

// Sum returns the content of the file that describes a prepared image. The fingerprint is
// the hash of the functions that the program registers; zero: it is not known.
func (i *Image) Sum(fingerprint [32]byte) string {
	return fmt.Sprintf("%x %d %x\n", i.Hash, i.Size, fingerprint)
}

// prepared returns the prepared image of a name in fsys, nil if there is none.
func prepared(fsys fs.FS, name, goos, goarch string) (*Image, error) {
	text, err := fs.ReadFile(fsys, name+sumSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	i := &Image{GOOS: goos, GOARCH: goarch}
	if err := i.parseSum(string(text)); err != nil {
		return nil, fmt.Errorf("%s: %w", name+sumSuffix, err)
	}
	for codec, suffix := range suffixes {
		file := name + suffix
		if suffix == "" {
			continue
		}
		if _, err := fs.Stat(fsys, file); err == nil {
			i.ready[codec] = func() ([]byte, error) { return fs.ReadFile(fsys, file) }
		}
	}
	if i.ready[Gzip] == nil {
		return nil, fmt.Errorf("%s is there and %s is not: make both again with cmd/pack", name+sumSuffix, name+suffixes[Gzip])
	}
	i.read = func() ([]byte, error) { return gunzip(i.ready[Gzip]) }
	return i, nil
}

func (i *Image) parseSum(text string) error {
	words := strings.Fields(text)
	if len(words) != 3 || !decodeSum(&i.Hash, words[0]) || !decodeSum(&i.Fingerprint, words[2]) {
		return errSum
	}
	var err error
	if i.Size, err = strconv.ParseInt(words[1], 10, 64); err != nil || i.Size <= 0 || i.Size > maxImage {
		return errSum
	}
	return nil
}

// decodeSum reads a hash, and reports whether it is one.
func decodeSum(sum *[32]byte, digits string) bool {
	b, err := hex.DecodeString(digits)
	return err == nil && copy(sum[:], b) == len(sum) && len(b) == len(sum)
}

// gunzip unpacks an image from its gzip form.
func gunzip(packed func() ([]byte, error)) ([]byte, error) {
	data, err := packed()
	if err != nil {
		return nil, err
	}
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	data, err = io.ReadAll(io.LimitReader(r, maxImage+1))
	if err == nil && len(data) > maxImage {
		err = fmt.Errorf("above %d bytes", maxImage)
	}
	return data, err
}

// The codecs in the order in which they are chosen. xz exists only if it was packed ahead of
// time. It unpacks 100 ms slower than zstd for 13 % fewer bytes, which pays below 25 Mbit/s,
// and 85 ms slower than gzip for 29 % fewer, which pays below 80 Mbit/s.
var (
	fastFirst  = []Codec{Zstd, Xz, Gzip}
	smallFirst = []Codec{Xz, Zstd, Gzip}
)

// CodecFor is the codec in which a far side should get the image. has reports whether a
// program is there to unpack it. A form that is ready is preferred to one that has to
// be packed. slow says that size counts more than the time of unpacking.
func (i *Image) CodecFor(has func(program string) bool, slow bool) Codec {
	order := fastFirst
	if slow {
		order = smallFirst
	}
	for _, c := range order {
		if has(c.String()) && i.ready[c] != nil {
			return c
		}
	}
	return Packable(has)
}

// Packable is the best codec in which any image can be packed here, and that a far side
// unpacks. zstd is smaller than gzip, and takes a fifth of the time to unpack.
func Packable(has func(program string) bool) Codec {
	for _, c := range [...]Codec{Zstd, Gzip} {
		if has(c.String()) {
			return c
		}
	}
	return Raw
}

// FingerprintArg, as its only argument, has a program print the fingerprint of its functions
// and exit. cmd/pack uses it.
const FingerprintArg = "mitosis:fingerprint"
