//go:build linux

package bootstrap

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// A place that does not do has a reason also where the program that failed has said none.
func TestReasonsAreWhole(t *testing.T) {
	needRoot(t)
	quiet := tools(t, append(slices.DeleteFunc(slices.Clone(basics), func(s string) bool { return s == "rm" }), "gzip")...)
	if err := os.WriteFile(filepath.Join(quiet, "rm"), []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ path, before, want string }{
		"a quiet rm":      {quiet, "", `/dev/shm: rm does not run, status 3,`},
		"files of 0 byte": {tools(t, append(slices.Clone(basics), "gzip")...), "ulimit -f 0", `/dev/shm: (status \d+|.*too large)`},
	} {
		t.Run(name, func(t *testing.T) {
			o := opts()
			o.StartMethods = []string{StartRAM, StartDisk}
			l := NewLaunch(o)
			_, err := l.Run(bound(t), start(t, l.in(test.path, test.before)))
			if !errors.Is(err, ErrNoStartMethod) || !regexp.MustCompile(test.want).MatchString(err.Error()) {
				t.Errorf("error %v, want a reason like %q", err, test.want)
			}
			if err != nil && regexp.MustCompile(`,,|: ?[,;]`).MatchString(err.Error()) {
				t.Errorf("error %v has a reason that is empty", err)
			}
		})
	}
}
