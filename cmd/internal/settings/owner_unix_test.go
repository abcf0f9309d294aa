//go:build unix

package settings

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Somebody who may write the file could have this user log in anywhere with any key.
func TestAFileOfOthersIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, dir, file string)
		want    string // "" if it is read
	}{
		"private":          {func(t *testing.T, dir, file string) {}, ""},
		"readable":         {func(t *testing.T, dir, file string) { chmod(t, file, 0o644) }, ""},
		"group":            {func(t *testing.T, dir, file string) { chmod(t, file, 0o660) }, "others may write to"},
		"all":              {func(t *testing.T, dir, file string) { chmod(t, file, 0o606) }, "others may write to"},
		"directory":        {func(t *testing.T, dir, file string) { chmod(t, dir, 0o770) }, "others may write to"},
		"sticky directory": {func(t *testing.T, dir, file string) { chmod(t, dir, 0o777|os.ModeSticky) }, ""},
		"link":             {func(t *testing.T, dir, file string) { elsewhere(t, file, 0o700) }, ""},
		"link to all":      {func(t *testing.T, dir, file string) { elsewhere(t, file, 0o777) }, "others may write to"},
		"pipe": {func(t *testing.T, dir, file string) {
			replace(t, file, func() error { return syscall.Mkfifo(file, 0o600) })
		}, "is no regular file"},
		"directory instead": {func(t *testing.T, dir, file string) { replace(t, file, func() error { return os.Mkdir(file, 0o700) }) }, "is no regular file"},
		"link to nothing": {func(t *testing.T, dir, file string) {
			replace(t, file, func() error { return os.Symlink("nowhere", file) })
		}, "no such file"},
		"another user's":           {func(t *testing.T, dir, file string) { chown(t, file) }, "belongs to another user, whose number is 12345"},
		"another user's directory": {func(t *testing.T, dir, file string) { chown(t, dir) }, "belongs to another user, whose number is 12345"},
	} {
		t.Run(name, func(t *testing.T) {
			_, dir := user(t)
			file := filepath.Join(dir, "config.yaml")
			write(t, file, "user: deploy\n", 0o600)
			c.prepare(t, dir, file)
			s, err := Load()
			if c.want == "" && err != nil {
				t.Errorf("the file was refused: %v", err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) || s.User != "") {
				t.Errorf("the settings are %+v, %v; want an error with %q, and nothing of the file", s, err, c.want)
			}
		})
	}
}

func chmod(t *testing.T, name string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

func chown(t *testing.T, name string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	if err := os.Chown(name, 12345, -1); err != nil {
		t.Fatal(err)
	}
}

func replace(t *testing.T, name string, by func() error) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := by(); err != nil {
		t.Fatal(err)
	}
}

// elsewhere moves a file into another directory, and leaves a link.
func elsewhere(t *testing.T, file string, mode os.FileMode) {
	t.Helper()
	dir := t.TempDir()
	real := filepath.Join(dir, "real.yaml")
	if err := os.Rename(file, real); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, file); err != nil {
		t.Fatal(err)
	}
	chmod(t, dir, mode)
}
