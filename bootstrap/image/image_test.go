package image

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// An executable is read and made slim once for its hash and its first use.
func TestExecutableIsReadOnceForItsFirstUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := bytes.Repeat([]byte("no executable"), 1000)
		reads := 0
		open := func() *Image {
			reads = 0
			i, err := slimImage("linux", "amd64", func() ([]byte, error) { reads++; return bytes.Clone(content), nil })
			if err != nil {
				t.Fatal(err)
			}
			return i
		}
		use := func(i *Image, c Codec, want int) {
			t.Helper()
			if _, err := i.Encoded(t.Context(), c, nil); err != nil {
				t.Fatal(err)
			}
			if reads != want {
				t.Errorf("read %d times, want %d", reads, want)
			}
		}
		i := open()
		use(i, Gzip, 1)
		use(i, Zstd, 2)

		i = open()
		time.Sleep(encodedLife + time.Second)
		use(i, Gzip, 2) // nothing is kept that is not used

		i = open()
		use(i, Gzip, 1)
		content[0]++
		if _, err := i.Encoded(t.Context(), Zstd, nil); err == nil {
			t.Error("what is packed is not what was hashed")
		}
	})
}

// The first connect gets an image that was packed fast, later ones get the best.
func TestImproved(t *testing.T) {
	data := imageData(t, 2<<20)
	kept := NewPackedDir(filepath.Join(t.TempDir(), "packed"))
	i := New(data, runtime.GOOS, runtime.GOARCH)
	for codec, most := range map[Codec]int{Gzip: 100, Zstd: 97} {
		size := func(i *Image) int {
			packed, err := i.Encoded(t.Context(), codec, kept)
			if err != nil {
				t.Fatal(err)
			}
			unpack(t, codec.UnpackCommand(), packed, data)
			return len(packed)
		}
		first := size(i)
		if err := i.Improve(t.Context(), codec, kept); err != nil {
			t.Fatal(err)
		}
		improved := size(i)
		if improved > first*most/100 {
			t.Errorf("%v: %d bytes have become %d, want at most %d %%", codec, first, improved, most)
		}
		if later := size(New(data, runtime.GOOS, runtime.GOARCH)); later != improved {
			t.Errorf("%v: a later program sends %d bytes, want the %d that were kept", codec, later, improved)
		}
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(dir+"/linux_arm64", []byte("an image"), 0o644)
	i, err := Open(os.DirFS(dir), "linux_arm64", "linux", "arm64")
	if err != nil || i.Size != 8 {
		t.Fatal(i, err)
	}
	if _, err := Open(os.DirFS(dir), "other", "linux", "arm64"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := i.Encoded(t.Context(), Gzip, nil); err != nil {
		t.Error(err)
	}
	os.WriteFile(dir+"/linux_arm64", []byte("another"), 0o644)
	if _, err := i.Encoded(t.Context(), Raw, nil); err == nil {
		t.Error("an image that changed was packed")
	}
}
