//go:build linux

package bootstrap

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// loginShells are what a user may have in /etc/passwd.
var loginShells = [][]string{
	{"sh"}, {"bash"}, {"dash"}, {"busybox", "ash"}, {"zsh"}, {"bsd-csh"}, {"tcsh"}, {"fish"}, {"ksh93"}, {"mksh"},
	{"lksh"}, {"yash"}, {"posh"}, {"bash-static"}, {"rc"}, {"elvish"},
}

// systemShells are what /bin/sh may be. Where root runs the tests it is; otherwise
// they are started by their own names.
var systemShells = [][]string{
	{"dash"}, {"bash"}, {"bash-static"}, {"busybox", "ash"}, {"zsh", "--emulate", "sh"}, {"ksh93"}, {"mksh"}, {"lksh"}, {"mksh-static"}, {"yash"}, {"posh"},
}

// asSystemShell is the command that runs a script by a shell which is /bin/sh for it
// and for all that it starts, where that can be.
func asSystemShell(t *testing.T, shell []string, script string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(shell[0])
	if err != nil {
		t.Skip(err)
	}
	if os.Getuid() != 0 {
		return exec.Command(path, append(append([]string{}, shell[1:]...), "-c", script)...)
	}
	sh, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		t.Fatal(err)
	}
	if path == sh {
		return exec.Command("/bin/sh", "-c", script)
	}
	return exec.Command("unshare", "-m", "/bin/bash", "-c", `mount --bind "$1" "$2"&&exec /bin/sh -c "$3"`, "-", path, sh, script)
}

// tools makes a directory for PATH that holds only the programs named.
func tools(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path, err := exec.LookPath(name)
		if name == "python3" {
			path, err = "/usr/bin/python3", nil
		}
		if err != nil {
			t.Skip(err)
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// basics is what every Unix has.
var basics = []string{"sh", "id", "uname", "stat", "cat", "rm", "chmod", "tail", "head", "mount", "sleep", "dd"}

func TestEveryLoginShellPassesTheLineOn(t *testing.T) {
	for _, shell := range loginShells {
		t.Run(strings.Join(shell, " "), func(t *testing.T) {
			path, err := exec.LookPath(shell[0])
			if err != nil {
				t.Skip(err)
			}
			l := NewLaunch(opts())
			args := append(append([]string{}, shell[1:]...), "-c", l.Line())
			s := born(t, l, start(t, exec.Command(path, args...)), "")
			answers(t, s)
			if s.Said != "" {
				t.Errorf("noise %q", s.Said)
			}
		})
		t.Run(strings.Join(shell, " ")+" reads it", func(t *testing.T) {
			path, err := exec.LookPath(shell[0])
			if err != nil {
				t.Skip(err)
			}
			if shell[0] == "fish" {
				t.Skip("reads all of a pipe before it runs the first line")
			}
			// The line is typed at a shell that reads its standard input.
			l := NewLaunch(opts())
			c := start(t, exec.Command(path, shell[1:]...))
			fmt.Fprintln(c, l.Line())
			answers(t, born(t, l, c, ""))
		})
	}
}

// The shell that runs the script itself, and reads plans, is /bin/sh: whatever
// that is.
func TestEverySystemShellRunsTheFirstStage(t *testing.T) {
	for _, shell := range systemShells {
		for _, method := range startMethods {
			t.Run(strings.Join(shell, " ")+" "+method, func(t *testing.T) {
				o := opts()
				o.StartMethods = []string{method}
				l := NewLaunch(o)
				s := born(t, l, start(t, asSystemShell(t, shell, l.script())), "")
				answers(t, s)
				if s.Said != "" {
					t.Errorf("noise %q", s.Said)
				}
			})
		}
	}
}

func TestLineIsShort(t *testing.T) {
	o := opts()
	o.Same, o.Label = true, strings.Repeat("a label 'that' is long! ", 10)
	l := NewLaunch(o)
	line := l.Line()
	longest := len(line) +
		2*(len(fmt.Sprint(1<<22))-len(fmt.Sprint(os.Getpid()))) + 2*len(fmt.Sprint(uint64(math.MaxUint64)))
	t.Logf("the line has %d bytes, at most %d", len(line), longest)
	if longest > MaxLine {
		t.Errorf("line of up to %d bytes", longest)
	}
	checkLine(t, l, line)
	o.Same, o.Cache = false, true
	l = NewLaunch(o)
	line = l.Line()
	t.Logf("with the cache it has %d bytes", len(line))
	if len(line) > MaxLine {
		t.Errorf("line of %d bytes", len(line))
	}
	checkLine(t, l, line)
}

func checkLine(t *testing.T, l *Launch, line string) {
	t.Helper()
	if script := strings.TrimPrefix(line, "exec /bin/sh -c '"); strings.ContainsAny(strings.TrimSuffix(script, "'"), "'!\n") ||
		strings.Contains(line, `\\`) {
		t.Errorf("a shell may stumble over %s", line)
	}
	if strings.Contains(line, l.marker) {
		t.Error("an echo of the line looks like the marker")
	}
}

func TestSameHostNeedsNoImage(t *testing.T) {
	o := opts()
	o.Same = true
	o.Images = nil
	l := NewLaunch(o)
	s := born(t, l, start(t, l.command()), "")
	if s.StartMethod != StartExec {
		t.Errorf("start method %s", s.StartMethod)
	}
	answers(t, s)
}

// A process that has our number elsewhere is not us.
func TestShortcutIsNotTakenForAnotherProgram(t *testing.T) {
	o := opts()
	o.Same = true
	l := NewLaunch(o)
	argv := l.Argv()
	argv[2] = strings.ReplaceAll(argv[2], fmt.Sprintf("/proc/%d/exe", os.Getpid()), "/bin/cat")
	s := born(t, l, start(t, exec.Command(argv[0], argv[1:]...)), "")
	if s.StartMethod == StartExec {
		t.Error("executed something else")
	}
}

func TestAdverseSurroundings(t *testing.T) {
	for name, test := range map[string]struct {
		before  string
		uid     uint32
		methods []string
		env     []string
	}{
		"profile prints a mebibyte":          {before: "head -c 1048576 /dev/zero | tr '\\000' x"},
		"profile prints binary":              {before: "head -c 300000 /dev/urandom"},
		"profile reads a line":               {before: "read x"},
		"profile reads three lines":          {before: "read x; read x; read x"},
		"trace on":                           {before: "export SHELLOPTS; set -x 2>/dev/null; exec 2>&1"},
		"few descriptors":                    {before: "ulimit -n 64"},
		"umask 0777 as root":                 {before: "umask 0777"},
		"umask 0777 as a user":               {before: "umask 0777", uid: 65534},
		"umask 0777 as a user, ram":          {before: "umask 0777", uid: 65534, methods: []string{StartRAM}},
		"umask 0777 as a user, disk":         {before: "umask 0777", uid: 65534, methods: []string{StartDisk}},
		"no HOME":                            {before: "unset HOME", methods: []string{StartDisk}},
		"unreadable working directory":       {before: "cd $LOCKED", uid: 65534},
		"unreadable working directory, disk": {before: "cd $LOCKED", uid: 65534, methods: []string{StartDisk}},
		"deleted working directory":          {before: "cd $(mktemp -d); rmdir $PWD"},
		"empty environment":                  {before: "unset PATH HOME USER SHELL"},
		"XDG_RUNTIME_DIR with a space":       {before: "export XDG_RUNTIME_DIR='/no where*'"},
		"signals ignored":                    {before: "trap '' HUP INT TERM PIPE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := opts()
			o.StartMethods = test.methods
			l := NewLaunch(o)
			script := test.before + "\n" + l.Line()
			if strings.Contains(test.before, "$LOCKED") {
				if os.Getuid() != 0 {
					t.Skip("needs root")
				}
				// Entered as root, left alone as nobody.
				dir := t.TempDir()
				os.Chmod(dir, 0o700)
				script = "cd " + dir + "; exec setpriv --reuid 65534 --clear-groups /bin/sh -c " + quote(l.Line())
				test.uid = 0
			}
			cmd := exec.Command("/bin/bash", "-c", script)
			cmd.Env = append(os.Environ(), test.env...)
			if test.uid != 0 {
				if os.Getuid() != 0 {
					t.Skip("needs root")
				}
				cmd.Dir = "/"
				cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: test.uid, Gid: test.uid}}
			}
			answers(t, born(t, l, start(t, cmd), ""))
		})
	}
}

func TestUmaskOfTheUserStays(t *testing.T) {
	for _, method := range startMethods {
		o := opts()
		o.StartMethods = []string{method}
		l := NewLaunch(o)
		s := born(t, l, start(t, exec.Command("/bin/sh", "-c", "umask 026;"+l.Line())), "run umask")
		if got := readLine(t, s); got != "0026" {
			t.Errorf("%s: umask %s", method, got)
		}
	}
}
