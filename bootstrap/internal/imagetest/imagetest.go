// Package imagetest makes prepared images for tests.
package imagetest

import (
	"bytes"
	"errors"
	"os/exec"
	"testing"
	"testing/fstest"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// Files are the files of an image as cmd/pack makes them, in these codecs, under the
// name x.
func Files(t *testing.T, img *image.Image, codecs ...image.Codec) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{"x.sum": {Data: []byte(img.Sum([32]byte{7}))}}
	for _, c := range codecs {
		var data []byte
		var err error
		if c == image.Xz {
			whole, rawErr := img.Encoded(t.Context(), image.Raw, nil)
			cmd := exec.Command("xz", "-1", "-c")
			cmd.Stdin = bytes.NewReader(whole)
			data, err = cmd.Output()
			err = errors.Join(rawErr, err)
		} else {
			data, err = img.Encoded(t.Context(), c, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		files["x"+c.Suffix()] = &fstest.MapFile{Data: data}
	}
	return files
}
