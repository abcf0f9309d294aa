package image_test

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mitosis-go/mitosis/bootstrap/image"
	"github.com/mitosis-go/mitosis/bootstrap/internal/imagetest"
)

// What another program has of these forms is passed on as gzip, and what is not packed
// ahead of time is packed here.
func TestPreparedImageWithFewForms(t *testing.T) {
	data := bytes.Repeat([]byte("an executable "), 1000)
	img, err := image.Open(imagetest.Files(t, image.New(data, "linux", "arm"), image.Gzip), "x", "linux", "arm")
	if err != nil {
		t.Fatal(err)
	}
	for tools, want := range map[string]image.Codec{"zstd gzip": image.Gzip, "xz gzip": image.Gzip, "zstd xz": image.Zstd, "xz": image.Raw, "": image.Raw} {
		got := img.CodecFor(func(program string) bool { return slices.Contains(strings.Fields(tools), program) }, false)
		if got != want {
			t.Errorf("with %q the codec is %v, want %v", tools, got, want)
		}
		if _, err := img.Encoded(t.Context(), got, nil); err != nil {
			t.Errorf("packing as %v: %v", got, err)
		}
	}
	if whole, err := img.Encoded(t.Context(), image.Raw, nil); err != nil || !bytes.Equal(whole, data) {
		t.Errorf("it unpacks to %d bytes, %v; want what it was made of", len(whole), err)
	}
}

func TestPreparedImagesThatAreNone(t *testing.T) {
	good := imagetest.Files(t, image.New([]byte("an executable"), "linux", "arm"), image.Gzip)
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
		if _, err := image.Open(files, "x", "linux", "arm"); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the error is %v, want one that tells of the file", name, err)
		}
	}
	if _, err := image.Open(good, "y", "linux", "arm"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another name: %v, want fs.ErrNotExist", err)
	}
	other := imagetest.Files(t, image.New([]byte("another"), "linux", "arm"), image.Gzip)
	img, err := image.Open(fstest.MapFS{"x.sum": good["x.sum"], "x.gz": other["x.gz"]}, "x", "linux", "arm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := img.Encoded(t.Context(), image.Raw, nil); err == nil {
		t.Error("what unpacks to another executable was taken")
	}
}
