//go:build linux

package bootstrap

import (
	"context"
	"testing"

	"github.com/mitosis-go/mitosis/bootstrap/image"
	"github.com/mitosis-go/mitosis/bootstrap/internal/imagetest"
)

// A prepared image is sent as it lies there, in a form that the far side unpacks, by each
// start method; where there is no such form it is unpacked here.
func TestPreparedImages(t *testing.T) {
	own, err := image.Own()
	if err != nil {
		t.Fatal(err)
	}
	all := imagetest.Files(t, own, image.Gzip, image.Zstd, image.Xz)
	for name, test := range map[string]struct {
		tools []string
		slow  bool
		want  image.Codec
	}{
		"zstd, xz and gzip":          {[]string{"zstd", "xz", "gzip"}, false, image.Zstd},
		"the same over a slow line":  {[]string{"zstd", "xz", "gzip"}, true, image.Xz},
		"xz and gzip":                {[]string{"xz", "gzip"}, false, image.Xz},
		"gzip":                       {[]string{"gzip"}, false, image.Gzip},
		"gzip over a slow line":      {[]string{"gzip"}, true, image.Gzip},
		"none":                       {nil, false, image.Raw},
		"xz, with perl to unpack by": {[]string{"xz", "perl", "tee", "sha256sum"}, false, image.Xz},
		"xz, with python":            {[]string{"xz", "python3"}, false, image.Xz},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			img, err := image.Open(all, "x", own.GOOS, own.GOARCH)
			if err != nil {
				t.Fatal(err)
			}
			if img.Hash != own.Hash || img.Size != own.Size || img.Fingerprint != [32]byte{7} {
				t.Errorf("it is %x of %d bytes, fingerprint %x; want what it was made of", img.Hash, img.Size, img.Fingerprint)
			}
			o := opts()
			o.Slow = test.slow
			o.Images = func(_ context.Context, _, _ string) (*image.Image, error) { return img, nil }
			l := NewLaunch(o)
			s := born(t, l, start(t, l.in(tools(t, append(append([]string{}, basics...), test.tools...)...), "")), "")
			answers(t, s)
			if s.Codec != test.want || s.Hello.ImageHash != own.Hash {
				t.Errorf("%s: it was sent as %v, want %v", s.StartMethod, s.Codec, test.want)
			}
		})
	}
}
