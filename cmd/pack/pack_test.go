package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

func TestCommandLine(t *testing.T) {
	for name, test := range map[string]struct {
		args string
		want string // in the error; "" is none
	}{
		"a package":       {"./x", ""},
		"all options":     {"-o dir -systems linux/arm,windows/amd64 -codecs gzip -tags a ./x", ""},
		"no package":      {"-o dir", "one package"},
		"two packages":    {"./x ./y", "one package"},
		"no system":       {"-systems linux ./x", `"linux" is not GOOS/GOARCH`},
		"an empty system": {"-systems linux/amd64, ./x", `"" is not GOOS/GOARCH`},
		"a codec":         {"-codecs lzma ./x", `"lzma" is none of`},
		"an option":       {"-none ./x", "-none"},
	} {
		var said bytes.Buffer
		_, err := parse(strings.Fields(test.args), &said)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, test.want)
		}
	}
}

// The files are what Config.Images takes, whatever lay there before, and unpack by each tool to
// the image that the sum is of.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	var out, errOut bytes.Buffer
	args := []string{"-o", dir, "-systems", "linux/amd64", "../../examples/agent/agent"}
	if err := packAll(t.Context(), args, &out, &errOut); err != nil {
		t.Fatalf("%v\n%s", err, errOut.String())
	}
	t.Log(out.String())
	has := func(want ...string) {
		t.Helper()
		entries, _ := os.ReadDir(dir)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if !slices.Equal(names, want) {
			t.Fatalf("the files are %v, want %v", names, want)
		}
	}
	has("linux_amd64.gz", "linux_amd64.sum", "linux_amd64.xz", "linux_amd64.zst")
	img, err := image.Open(os.DirFS(dir), "linux_amd64", "linux", "amd64")
	if err != nil || img.Fingerprint == [32]byte{} {
		t.Fatalf("%v, the fingerprint is %x", err, img.Fingerprint)
	}
	for _, unpack := range []string{"gzip -dc <linux_amd64.gz", "zstd -dc <linux_amd64.zst", "xz -dc <linux_amd64.xz"} {
		cmd := exec.Command("sh", "-c", unpack)
		cmd.Dir = dir
		whole, err := cmd.Output()
		if sum := sha256.Sum256(whole); err != nil || sum != img.Hash || int64(len(whole)) != img.Size {
			t.Errorf("%s: %v, %d bytes with the hash %s", unpack, err, len(whole), hex.EncodeToString(sum[:]))
		}
	}
	for name, codec := range map[string]image.Codec{"zst": image.Zstd, "gz": image.Gzip} {
		whole, _ := img.Encoded(t.Context(), image.Raw, nil)
		fresh := image.New(whole, "linux", "amd64")
		quick, err := fresh.Encoded(t.Context(), codec, nil)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(filepath.Join(dir, "linux_amd64."+name)); err != nil || info.Size() >= int64(len(quick)) {
			t.Errorf("%s has %d bytes, packed while a connect waits %d: want less", name, info.Size(), len(quick))
		}
	}
	args = []string{"-o", dir, "-systems", "linux/amd64", "-codecs", "gzip", "../../examples/agent/agent"}
	if err := packAll(t.Context(), args, &out, &errOut); err != nil {
		t.Fatalf("%v\n%s", err, errOut.String())
	}
	has("linux_amd64.gz", "linux_amd64.sum")
}

// A package that can't be sent is refused, and leaves no files.
func TestPackagesThatDoNotDivide(t *testing.T) {
	for pkg, want := range map[string]string{
		"../../bootstrap/internal/imagesize": "contexts.Init",
		"../../core":                         "contexts.Init",
		"./none":                             "go build",
	} {
		dir := t.TempDir()
		var out, errOut bytes.Buffer
		err := packAll(t.Context(), []string{"-o", dir, pkg}, &out, &errOut)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", pkg, err, want)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: %d files are left", pkg, len(left))
		}
	}
}
