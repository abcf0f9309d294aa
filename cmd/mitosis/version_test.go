package main

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis"
)

// Who reports a fault is asked for this line.
func TestVersionIsThatOfTheModule(t *testing.T) {
	var out bytes.Buffer
	if status := execute([]string{"version"}, &out, io.Discard); status != 0 {
		t.Fatalf("status %d, want 0", status)
	}
	words := strings.Fields(out.String())
	system := fmt.Sprintf("%s/%s", runtime.GOOS, runtime.GOARCH)
	if len(words) < 4 || words[0] != "mitosis" || words[1] != mitosis.Version || words[len(words)-2] != system || words[len(words)-1] != runtime.Version() {
		t.Errorf("%q; want mitosis, the version %s, perhaps the commit, the system %s and the release of Go", out.String(), mitosis.Version, system)
	}
}
