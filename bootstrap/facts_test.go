package bootstrap

import (
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/bootstrap/image"
	"github.com/mitosis-go/mitosis/bootstrap/internal/scan"
)

const testMarker = "0123456789abcdef"

func TestFacts(t *testing.T) {
	f, err := parseFacts("1 Linux aarch64 1000 perl gzip head / /dev/shm /run/user/1000 .")
	want := Facts{Kernel: "Linux", Machine: "aarch64", UID: 1000, Tools: []string{"perl", "gzip", "head"}, Dirs: []string{"/dev/shm", "/run/user/1000"}}
	if err != nil || !reflect.DeepEqual(f, want) || f.GOOS() != "linux" || f.GOARCH() != "arm64" {
		t.Errorf("facts %+v, %v; want %+v", f, err, want)
	}
	if f, err := parseFacts("1 Linux x86_64 0 -proc perl / ."); err != nil || !f.NoProc || !reflect.DeepEqual(f.Tools, []string{"perl"}) {
		t.Errorf("facts %+v, %v; want no /proc, and perl", f, err)
	}
	if f, err := parseFacts("1 Linux x86_64 ? / ."); err != nil || f.UID != -1 || f.Dirs != nil || len(f.Tools) != 0 || f.GOARCH() != "amd64" {
		t.Errorf("facts %+v, %v; want amd64, an unknown user, no tools and no directories", f, err)
	}
	if f, err := parseFacts("1 ? ? ? perl / ."); err != nil || f.GOOS() != "linux" || f.GOARCH() != runtime.GOARCH {
		t.Errorf("facts %+v, %v; want Linux of our own architecture", f, err)
	}
	for _, bad := range []string{"", "1", "2 Linux x86_64 0 / .", "1 Linux x86_64 0 perl / /dev/sh", "1 x86_64 0 / .", "1 / / / / / .", "hi 1 Linux"} {
		if f, err := parseFacts(bad); err == nil {
			t.Errorf("%q is %+v", bad, f)
		}
	}
}

func FuzzFacts(f *testing.F) {
	f.Add("1 Linux aarch64 1000 perl gzip head / /dev/shm /run/user/1000 .")
	f.Add("1 Linux x86_64 ? / .")
	f.Fuzz(func(t *testing.T, line string) {
		facts, err := parseFacts(line)
		if err != nil {
			return
		}
		facts.GOARCH()
		facts.GOOS()
		// What the far side says ends up in a plan only as quoted words.
		p := &plan{marker: testMarker, facts: &facts, codec: image.Packable(facts.has), hash: strings.Repeat("0", 64)}
		for _, method := range startMethods {
			if obstacle(method, &facts, false) == "" && strings.Contains(p.line([]string{method}), "\n") {
				t.Errorf("a plan of two lines for %q", line)
			}
		}
	})
}

func TestErrorTextIsFitForATerminal(t *testing.T) {
	noise := scan.New(testMarker)
	if _, err := noise.Read(strings.NewReader("a\x1b[31mb\r\nc\xff\n\n"), make([]byte, 64)); err != io.EOF {
		t.Fatalf("noise without an event was read with %v, want %v", err, io.EOF)
	}
	e := &Error{Phase: PhaseHello, Err: io.ErrUnexpectedEOF, Said: noise.Said()}
	if got, want := e.Error(), "waiting for the hello: unexpected EOF; the far side said: a�[31mb | c�"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
