package main

import (
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mitosis-go/mitosis/contexts/files"
)

func TestProgressLine(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name  string
		p     files.Progress
		since time.Duration
		width int
		want  string
	}{
		{"file", files.Progress{Bytes: mib, Total: 4 * mib}, time.Second, 60, "file              [###            ]  25%  1.0 MiB  1.0 MiB/s"},
		{"file", files.Progress{Bytes: 4 * mib, Total: 4 * mib}, 2 * time.Second, 60, "file              [###############] 100%  4.0 MiB  2.0 MiB/s"},
		{"tree", files.Progress{Name: "sub/one", Bytes: 999, Total: 1000}, time.Second, 60, "tree/sub/one          [############## ]  99%  999 B  999 B/s"},
		{"pipe", files.Progress{Bytes: 2048}, time.Second, 40, "pipe                  2.0 KiB  2.0 KiB/s"},
		{"a-very-long-name-of-a-file", files.Progress{Bytes: 1, Total: 2}, time.Second, 30, "…e-of-a-file   50%  1 B  1 B/s"},
		{"file", files.Progress{Bytes: 1, Total: 2}, time.Second, 10, " 50%  1 B "},
		{"file", files.Progress{}, 0, 0, ""},
		{"bell\a", files.Progress{Bytes: 1}, 0, 20, "\"bell\\a\"         1 B"},
	} {
		got := progressLine(c.name, c.p, c.since, c.width)
		if n := utf8.RuneCountInString(got); n > c.width {
			t.Errorf("%d characters where %d have room: %q", n, c.width, got)
		}
		if got != c.want {
			t.Errorf("%q, not\n%q", got, c.want)
		}
	}
}

func TestSizes(t *testing.T) {
	for n, want := range map[float64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 KiB", 1024: "1.0 KiB", 102400: "100 KiB", 1.5 * (1 << 30): "1.5 GiB", 1 << 62: "4.0 EiB", 1e22: "8674 EiB",
	} {
		if got := size(n); got != want {
			t.Errorf("%v: %s, not %s", n, got, want)
		}
	}
}
