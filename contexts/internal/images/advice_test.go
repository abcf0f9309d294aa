package images

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// A static program of a known release of Go gets no advice. For a program with a loader the advice
// is a warning. For an unknown release it is one line at the level info, which is shown by default.
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
