package tunnel

import (
	"errors"
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
		got, err := fields(spec)
		if !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q is taken apart into %q (error: %v), want %q", spec, got, err, want)
		}
	}
}

func TestSpecs(t *testing.T) {
	onlyEighty := func(s string) (int, error) {
		switch s {
		case "80", "http":
			return 80, nil
		case "0":
			return 0, nil
		}
		return 0, errors.New("no port")
	}
	web := End{Host: "web", HasHost: true, Port: 80}
	for spec, want := range map[string][2]End{
		"80":              {{Port: 80}},
		" 80:":            {{Port: 80}},
		"0":               {{}},
		"http:web:80":     {{Port: 80}, web},
		":80:web:http":    {{HasHost: true, Port: 80}, web},
		"[]:80":           {{HasHost: true, Port: 80}},
		"[::1]:80:web:80": {{Host: "::1", HasHost: true, Port: 80}, web},
		"80:/s":           {{Port: 80}, {Path: "/s"}},
		"a:80:b/s":        {{Host: "a", HasHost: true, Port: 80}, {Path: "b/s"}},
		"/s:web:80:":      {{Path: "/s"}, web},
		`/a\:b:/c`:        {{Path: "/a:b"}, {Path: "/c"}},
	} {
		listen, target, err := ParseSpec(spec, onlyEighty)
		if got := [2]End{listen, target}; err != nil || got != want {
			t.Errorf("%q is read as %+v (error: %v), want %+v", spec, got, err, want)
		}
	}
	for _, spec := range []string{"", ":", "x", "80:web:0", "80::80", "/s:80", "/a:/b:/c", "a:80:web:80:80", "80:/s:80", "[::1:80"} {
		if listen, target, err := ParseSpec(spec, onlyEighty); err == nil {
			t.Errorf("%q is read as %+v and %+v, want an error", spec, listen, target)
		}
	}
}
