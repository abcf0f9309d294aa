package tunnel

import (
	"slices"
	"testing"
)

func TestFields(t *testing.T) {
	for spec, want := range map[string][]string{
		"80:web:8080":       {"80", "web", "8080"},
		"[::1]:80:[::2]:81": {"::1", "80", "::2", "81"},
		`/a\:b:/c\\d`:       {"/a:b", `/c\d`},
		"80:":               {"80", ""},
		"[]":                {""},
		"":                  {""},
		"[::1:80":           nil,
		"[::1]80":           nil,
		`80\`:               nil,
	} {
		got, err := Fields(spec)
		if !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q is taken apart into %q (error: %v), want %q", spec, got, err, want)
		}
	}
}
