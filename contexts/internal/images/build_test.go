package images

import (
	"os"
	"strings"
	"testing"
)

// Executables that have not been used for long lose their images.
func TestImagesOfOldExecutablesAreForgotten(t *testing.T) {
	dir := t.TempDir()
	for i := range 2 * keptExecutables {
		if err := os.Mkdir(dir+"/"+"0"+strings.Repeat("x", i), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	forgetImages(dir)
	if left, err := os.ReadDir(dir); err != nil || len(left) != keptExecutables {
		t.Errorf("the images of %d executables are left, error %v, want %d", len(left), err, keptExecutables)
	}
}
