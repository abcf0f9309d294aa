package image

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPackedImagesAreCheckedWhenTheyAreRead(t *testing.T) {
	image := New([]byte("an executable"), "linux", "amd64")
	for name, harm := range map[string]func(path string) error{
		"changed": func(path string) error { return os.WriteFile(path, []byte("another"), 0o600) },
		"cut":     func(path string) error { return os.Truncate(path, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			p := NewPackedDir(filepath.Join(t.TempDir(), "packed"))
			if err := p.store(image, Zstd, []byte("packed")); err != nil {
				t.Fatal(err)
			}
			if got := p.load(image, Zstd); !bytes.Equal(got, []byte("packed")) {
				t.Fatalf("what was stored is loaded as %q", got)
			}
			if p.load(image, Gzip) != nil || p.load(New([]byte("x"), "linux", "amd64"), Zstd) != nil {
				t.Error("another codec or image was loaded, want nothing")
			}
			files, _ := os.ReadDir(p.dir)
			path := filepath.Join(p.dir, files[0].Name())
			if err := harm(path); err != nil {
				t.Fatal(err)
			}
			if got := p.load(image, Zstd); got != nil {
				t.Errorf("a harmed file is loaded as %q, want nothing", got)
			}
			if _, err := os.Stat(path); !os.IsNotExist(err) {
				t.Errorf("a harmed file is still there (%v), want it removed", err)
			}
		})
	}
}

func TestPackedImagesTrustOnlyTheirOwnDirectory(t *testing.T) {
	image := New([]byte("an executable"), "linux", "amd64")
	for name, spoil := range map[string]func(dir string) error{
		"others may write": func(dir string) error { return os.Chmod(dir, 0o777) },
		"others may read":  func(dir string) error { return os.Chmod(dir, 0o755) },
		"a symbolic link": func(dir string) error {
			if err := os.Rename(dir, dir+".real"); err != nil {
				return err
			}
			return os.Symlink(dir+".real", dir)
		},
		"a file": func(dir string) error {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			return os.WriteFile(dir, nil, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := NewPackedDir(filepath.Join(t.TempDir(), "packed"))
			if err := p.store(image, Zstd, []byte("packed")); err != nil {
				t.Fatal(err)
			}
			if err := spoil(p.dir); err != nil {
				t.Fatal(err)
			}
			if got := p.load(image, Zstd); got != nil {
				t.Errorf("%q was loaded, want nothing", got)
			}
			if err := p.store(image, Gzip, []byte("packed")); err == nil {
				t.Error("an image was stored, want an error")
			}
		})
	}
}

func TestPackedImagesAreBounded(t *testing.T) {
	p := NewPackedDir(filepath.Join(t.TempDir(), "packed"))
	var images []*Image
	for i := range keptPacked + 3 {
		image := New([]byte{byte(i)}, "linux", "amd64")
		images = append(images, image)
		if err := p.store(image, Zstd, []byte("packed")); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(time.Duration(i-100) * time.Second)
		for _, e := range entries(t, p.dir) {
			path := filepath.Join(p.dir, e)
			if strings.HasPrefix(e, p.prefix(image)) {
				if err := os.Chtimes(path, then, then); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	half := filepath.Join(p.dir, halfPrefix+"left")
	if err := os.WriteFile(half, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * halfAge)
	if err := os.Chtimes(half, old, old); err != nil {
		t.Fatal(err)
	}
	if err := p.store(images[0], Gzip, []byte("packed")); err != nil {
		t.Fatal(err)
	}
	if got := len(entries(t, p.dir)); got != keptPacked {
		t.Errorf("%d files are kept, want %d", got, keptPacked)
	}
	if p.load(images[len(images)-1], Zstd) == nil {
		t.Error("the image that was used last is gone")
	}
	if p.load(images[0], Zstd) != nil {
		t.Error("the image that was not used for the longest time is still there")
	}
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}
