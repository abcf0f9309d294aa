//go:build linux

package bootstrap

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The child has the working directory of its login, and the variables about it, by every start
// method, also where the name leads over a symbolic link.
func TestDirectoryOfTheChild(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := firstOf(os.Mkdir(filepath.Join(dir, "home"), 0o755), os.Symlink("home", link)); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{StartExec, StartPerl, StartPython, StartRAM, StartTmpfs, StartDisk} {
		t.Run(method, func(t *testing.T) {
			o := opts()
			if method == StartExec {
				o.Same = true
			} else {
				o.StartMethods = []string{method}
			}
			l := NewLaunch(o)
			cmd := exec.Command("/bin/sh", "-c", "cd "+link+";unset OLDPWD;"+l.Line())
			s := born(t, l, start(t, cmd), `run /bin/sh -c 'pwd;/usr/bin/printenv PWD;/usr/bin/printenv OLDPWD||echo none';echo END`)
			if s.StartMethod != method {
				t.Errorf("start method %s, want %s", s.StartMethod, method)
			}
			for _, want := range []string{link, link, "none", "END"} {
				if got := readLine(t, s); got != want {
					t.Errorf("it printed %q, want %q", got, want)
				}
			}
		})
	}
}
