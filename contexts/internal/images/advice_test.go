package images

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// A program that is as it should be gets no advice; a loader is a warning, and an unknown
// release of Go is one line at info, which is shown by default.
func TestAdviceOfABuild(t *testing.T) {
	for name, test := range map[string]struct {
		loader  string
		release error
		want    []string
	}{
		"static, known release": {},
		"with cgo":              {loader: "/lib/ld.so", want: []string{"level=WARN", "CGO_ENABLED=0", "loader=/lib/ld.so"}},
		"unknown release":       {release: errors.New("built by go9.1"), want: []string{"level=INFO", "larger than it could be", "built by go9.1"}},
	} {
		var out strings.Builder
		advise(slog.New(slog.NewTextHandler(&out, nil)), test.loader, test.release)
		if len(test.want) == 0 && out.Len() > 0 {
			t.Errorf("%s: %q was logged, want nothing", name, out.String())
		}
		for _, want := range test.want {
			if strings.Count(out.String(), "\n") != 1 || !strings.Contains(out.String(), want) {
				t.Errorf("%s: %q was logged, want one line with %q", name, out.String(), want)
			}
		}
	}
}
