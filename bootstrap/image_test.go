package bootstrap

import (
	"bytes"
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
			if _, err := i.Encoded(c); err != nil {
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
		if _, err := i.Encoded(Zstd); err == nil {
			t.Error("what is packed is not what was hashed")
		}
	})
}

// Who asks first gets what was packed in a hurry, those who come when the way has
// turned out slow get less.
func TestImproved(t *testing.T) {
	own, err := OwnImage()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := own.Encoded(Raw)
	if err != nil {
		t.Fatal(err)
	}
	data := raw.Data[:min(len(raw.Data), 2<<20)]
	i := NewImage(data, own.GOOS, own.GOARCH)
	for codec, most := range map[Codec]int{Gzip: 99, Zstd: 95} {
		i.Improve(codec) // nobody has wanted it yet
		size := func() int {
			packed, err := i.Encoded(codec)
			if err != nil {
				t.Fatal(err)
			}
			unpack(t, codec.command(), packed.Data, data)
			return len(packed.Data)
		}
		first := size()
		i.Improve(codec)
		if improved := size(); improved > first*most/100 {
			t.Errorf("%v: %d bytes have become %d", codec, first, improved)
		}
	}
}
