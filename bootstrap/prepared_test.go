//go:build linux

package bootstrap

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"
)

// packedFiles are files of an image as cmd/pack makes them, in these codecs.
func packedFiles(t *testing.T, image *Image, codecs ...Codec) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{"x.sum": {Data: []byte(image.Sum([32]byte{7}))}}
	for _, c := range codecs {
		var data []byte
		var err error
		if c == Xz {
			whole, rawErr := image.Encoded(Raw, nil)
			cmd := exec.Command("xz", "-1", "-c")
			cmd.Stdin = bytes.NewReader(whole)
			data, err = cmd.Output()
			err = errors.Join(rawErr, err)
		} else {
			data, err = image.Encoded(c, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		files["x"+c.Suffix()] = &fstest.MapFile{Data: data}
	}
	return files
}

// A prepared image is sent as it lies there, in a form that the far side unpacks, by each
// start method; where there is no such form it is unpacked here.
func TestPreparedImages(t *testing.T) {
	own, err := OwnImage()
	if err != nil {
		t.Fatal(err)
	}
	all := packedFiles(t, own, Gzip, Zstd, Xz)
	for name, test := range map[string]struct {
		tools []string
		slow  bool
		want  Codec
	}{
		"zstd, xz and gzip":          {[]string{"zstd", "xz", "gzip"}, false, Zstd},
		"the same over a slow line":  {[]string{"zstd", "xz", "gzip"}, true, Xz},
		"xz and gzip":                {[]string{"xz", "gzip"}, false, Xz},
		"gzip":                       {[]string{"gzip"}, false, Gzip},
		"gzip over a slow line":      {[]string{"gzip"}, true, Gzip},
		"none":                       {nil, false, Raw},
		"xz, with perl to unpack by": {[]string{"xz", "perl", "tee", "sha256sum"}, false, Xz},
		"xz, with python":            {[]string{"xz", "python3"}, false, Xz},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image, err := OpenImage(all, "x", own.GOOS, own.GOARCH)
			if err != nil {
				t.Fatal(err)
			}
			if image.Hash != own.Hash || image.Size != own.Size || image.Fingerprint != [32]byte{7} {
				t.Errorf("it is %x of %d bytes, fingerprint %x; want what it was made of", image.Hash, image.Size, image.Fingerprint)
			}
			o := opts()
			o.Slow = test.slow
			o.Images = func(_ context.Context, _, _ string) (*Image, error) { return image, nil }
			l := NewLaunch(o)
			s := born(t, l, start(t, l.in(tools(t, append(append([]string{}, basics...), test.tools...)...), "")), "")
			answers(t, s)
			if s.Codec != test.want || s.Hello.ImageHash != own.Hash {
				t.Errorf("%s: it was sent as %v, want %v", s.StartMethod, s.Codec, test.want)
			}
		})
	}
}

// What another program has of these forms is passed on as gzip, and what is not packed
// ahead of time is packed here.
func TestPreparedImageWithFewForms(t *testing.T) {
	data := bytes.Repeat([]byte("an executable "), 1000)
	image, err := OpenImage(packedFiles(t, NewImage(data, "linux", "arm"), Gzip), "x", "linux", "arm")
	if err != nil {
		t.Fatal(err)
	}
	for tools, want := range map[string]Codec{"zstd gzip": Gzip, "xz gzip": Gzip, "zstd xz": Zstd, "xz": Raw, "": Raw} {
		got := image.codec(&Facts{Tools: strings.Fields(tools)}, false)
		if got != want {
			t.Errorf("with %q the codec is %v, want %v", tools, got, want)
		}
		if _, err := image.Encoded(got, nil); err != nil {
			t.Errorf("packing as %v: %v", got, err)
		}
	}
	if whole, err := image.Encoded(Raw, nil); err != nil || !bytes.Equal(whole, data) {
		t.Errorf("it unpacks to %d bytes, %v; want what it was made of", len(whole), err)
	}
}

func TestPreparedImagesThatAreNone(t *testing.T) {
	good := packedFiles(t, NewImage([]byte("an executable"), "linux", "arm"), Gzip)
	sum := string(good["x.sum"].Data)
	for name, harm := range map[string]struct {
		file, data string
	}{
		"empty":            {"x.sum", ""},
		"one word":         {"x.sum", strings.Fields(sum)[0]},
		"no hash":          {"x.sum", strings.Replace(sum, sum[:8], "zzzzzzzz", 1)},
		"a short hash":     {"x.sum", sum[2:]},
		"no size":          {"x.sum", strings.Replace(sum, " 13 ", " x ", 1)},
		"a negative size":  {"x.sum", strings.Replace(sum, " 13 ", " -13 ", 1)},
		"a size too large": {"x.sum", strings.Replace(sum, " 13 ", " 99999999999 ", 1)},
		"no gzip form":     {"x.gz", ""},
	} {
		files := fstest.MapFS{"x.sum": good["x.sum"], "x.gz": good["x.gz"]}
		if harm.file == "x.gz" {
			delete(files, harm.file)
		} else {
			files[harm.file] = &fstest.MapFile{Data: []byte(harm.data)}
		}
		if _, err := OpenImage(files, "x", "linux", "arm"); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the error is %v, want one that tells of the file", name, err)
		}
	}
	if _, err := OpenImage(good, "y", "linux", "arm"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another name: %v, want fs.ErrNotExist", err)
	}
	other := packedFiles(t, NewImage([]byte("another"), "linux", "arm"), Gzip)
	image, err := OpenImage(fstest.MapFS{"x.sum": good["x.sum"], "x.gz": other["x.gz"]}, "x", "linux", "arm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := image.Encoded(Raw, nil); err == nil {
		t.Error("what unpacks to another executable was taken")
	}
}
