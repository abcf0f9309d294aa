package slim

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The loader is the one that the linker was told to use. A static program has none, and neither
// has a file that is no program or ends early.
func TestLoader(t *testing.T) {
	source := filepath.Join(t.TempDir(), "main.c")
	if err := os.WriteFile(source, []byte("int main() { return 0; }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	compiled := func(flags ...string) []byte {
		t.Helper()
		bin := filepath.Join(t.TempDir(), "main")
		if out, err := exec.Command("gcc", append(flags, "-o", bin, source)...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		exe, err := os.ReadFile(bin)
		if err != nil {
			t.Fatal(err)
		}
		return exe
	}
	dynamic := compiled("-Wl,--dynamic-linker=/opt/lib/ld.so")
	for name, test := range map[string]struct {
		exe  []byte
		want string
	}{
		"dynamic":           {dynamic, "/opt/lib/ld.so"},
		"static":            {compiled("-static"), ""},
		"static PIE":        {compiled("-static-pie"), ""},
		"Go without cgo":    {build(t, nil), ""},
		"Go with cgo":       {build(t, []string{"CGO_ENABLED=1"}, "-ldflags=-linkmode=external -extldflags=-Wl,--dynamic-linker=/opt/lib/ld.so"), "/opt/lib/ld.so"},
		"a script":          {[]byte("#!/bin/sh\n"), ""},
		"nothing":           {nil, ""},
		"the headers alone": {dynamic[:headerSize], ""},
	} {
		if got := Loader(bytes.NewReader(test.exe)); got != test.want {
			t.Errorf("%s: the loader is %q, want %q", name, got, test.want)
		}
	}
	for n := range 4096 {
		if got := Loader(bytes.NewReader(dynamic[:n])); got != "" && !strings.HasPrefix("/opt/lib/ld.so", got) {
			t.Fatalf("of the first %d bytes the loader is %q, want a beginning of /opt/lib/ld.so", n, got)
		}
	}
}
