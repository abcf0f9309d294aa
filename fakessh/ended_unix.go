//go:build unix

package fakessh

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/fakessh/internal/shim"
)

// A process can outlive the program whose shim is in its PATH: a script in the background, a
// daemon, a server of tmux. If it calls ssh then, it must not find the real one, which would go
// to whatever host has the name, with the keys of the user. Nobody can tell when the last such
// process has ended, since daemons close what they have inherited. So PATH has another
// directory behind the private one, which is never removed. Its ssh is a script that says that
// the program has ended. It is the same for all programs of the user.

// endedScript is that script.
const endedScript = `#!/bin/sh
# Programs that use github.com/mitosis-go/mitosis/fakessh have this in the PATH of
# their tools, behind their own ssh. Without it, a tool that outlives its program
# would find the real ssh, and go to another host than it should.
printf '%s: ` + shim.EndedText + `\r\n' "${0##*/}" >&2
exit 255
`

// endedDir returns the directory with the scripts. It makes or repairs the directory if needed.
// If scripts can't be executed anywhere, it makes links to self, which do the same as long as
// self exists.
func endedDir(self string) (string, error) {
	places := []string{os.Getenv("XDG_RUNTIME_DIR"), "/dev/shm", os.TempDir()}
	if home := os.Getenv("HOME"); home != "" {
		places = append([]string{filepath.Join(home, ".local/share")}, places...)
	}
	// Only directories in a home outlive the user's login.
	if data := os.Getenv("XDG_DATA_HOME"); data != "" {
		places = append([]string{data}, places...)
	}
	var errs []error
	try := func(content string, makeFace func(path string) error) string {
		sum := sha256.Sum256([]byte(content))
		for _, base := range places {
			if !isPlain(base) {
				continue
			}
			dir := filepath.Join(base, fmt.Sprintf("%s%x", shim.EndedPrefix, sum[:4]))
			err := makeOwnDir(dir)
			for _, name := range shim.Names {
				if err == nil {
					err = makeFace(filepath.Join(dir, name))
				}
			}
			if err == nil {
				return dir
			}
			_ = os.Remove(dir) // if it was made for nothing
			errs = append(errs, err)
		}
		return ""
	}
	dir := try(endedScript, makeEndedScript)
	if dir == "" && !strings.HasPrefix(self, "/proc/") {
		dir = try(self, func(path string) error { return makeLink(self, path) })
	}
	if dir == "" {
		return "", errors.Join(errs...)
	}
	return dir, nil
}

// makeOwnDir makes a directory to which nobody else can write. It makes none in a directory of
// somebody else: root may have the HOME of another user.
func makeOwnDir(dir string) error {
	refused := func(path string) error {
		return &os.PathError{Op: "use", Path: path, Err: errors.New("others can write there")}
	}
	for above := filepath.Dir(dir); ; above = filepath.Dir(above) {
		s, err := os.Stat(above)
		if err != nil && above != "/" {
			continue
		}
		if err != nil || s.Mode()&fs.ModeSticky == 0 && (!isThisUsers(s) || s.Mode().Perm()&0o002 != 0) {
			return refused(above)
		}
		break
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	s, err := os.Lstat(dir)
	if err == nil && (!s.IsDir() || !isThisUsers(s) || s.Mode().Perm()&0o022 != 0) {
		err = refused(dir)
	}
	return err
}

func isThisUsers(s os.FileInfo) bool {
	st, ok := s.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// makeEndedScript makes one of the scripts. It fails if the script can't be executed there.
func makeEndedScript(path string) error {
	s, err := os.Lstat(path)
	if err == nil && s.Mode().IsRegular() && isThisUsers(s) && s.Mode().Perm() == 0o755 {
		if have, err := os.ReadFile(path); err == nil && string(have) == endedScript {
			return mayExecute(path)
		}
	}
	return replace(path, func(draft string) error {
		// A process that another goroutine starts meanwhile must not have it open for
		// writing: it could not be executed.
		syscall.ForkLock.RLock()
		err := os.WriteFile(draft, []byte(endedScript), 0o755)
		syscall.ForkLock.RUnlock()
		if err == nil {
			err = os.Chmod(draft, 0o755) // whatever the umask is
		}
		if err == nil {
			err = mayExecute(draft)
		}
		return err
	})
}

// mayExecute fails if the file system of a script allows no execution, or there is no shell.
func mayExecute(path string) error {
	for _, p := range []string{path, "/bin/sh"} {
		if err := unix.Access(p, unix.X_OK); err != nil {
			return &os.PathError{Op: "execute", Path: p, Err: err}
		}
	}
	return nil
}

// makeLink makes a symbolic link, and replaces a file that is there.
func makeLink(target, path string) error {
	if have, err := os.Readlink(path); err == nil && have == target {
		return nil
	}
	return replace(path, func(draft string) error { return os.Symlink(target, draft) })
}

// replace makes a file by makeDraft under another name, and renames it to path.
func replace(path string, makeDraft func(draft string) error) error {
	draft := fmt.Sprintf("%s.%d", path, os.Getpid())
	_ = os.Remove(draft) // of a process that had our number
	err := makeDraft(draft)
	if err == nil {
		err = os.Rename(draft, path)
	}
	if err != nil {
		_ = os.Remove(draft)
	}
	return err
}

// isPlain reports whether a path can be part of PATH and of shell commands without quotes.
func isPlain(path string) bool {
	return filepath.IsAbs(path) && !strings.ContainsFunc(path, func(r rune) bool {
		return !strings.ContainsRune("/-._+@", r) && (r < '0' || r > '9') && (r|32 < 'a' || r|32 > 'z')
	})
}

// tailTime bounds the wait for processes that a tool has started and that end right after
// it. A daemon among them does not end at all.
const tailTime = 200 * time.Millisecond

// retire removes the private directory of a program that ends. If a process still has it in its
// environment, and so may call ssh by its path, the directory stays and its links lead to the
// scripts.
func retire(dir, ended string) error {
	know := whoKnow([]string{dir})[dir]
	if len(know) == 0 {
		return removeDir(dir)
	}
	var err error
	for _, name := range shim.Names {
		err = errors.Join(err, makeLink(filepath.Join(ended, name), filepath.Join(dir, name)))
	}
	if removeErr := os.Remove(filepath.Join(dir, shim.SocketName)); !errors.Is(removeErr, fs.ErrNotExist) {
		err = errors.Join(err, removeErr)
	}
	// Those that have ended may have started others.
	for deadline := time.Now().Add(tailTime); awaitEnd(know, deadline); {
		if know = whoKnow([]string{dir})[dir]; len(know) == 0 {
			return removeDir(dir)
		}
		if time.Now().After(deadline) {
			break
		}
	}
	return err
}

// sweep removes the directories whose programs have ended, unless a process has them in its
// environment.
func sweep(dirs []string) {
	var over []string
	for _, dir := range dirs {
		if isOver(dir) {
			over = append(over, dir)
		}
	}
	if len(over) == 0 {
		return
	}
	known := whoKnow(over)
	for _, dir := range over {
		if len(known[dir]) == 0 {
			_ = removeDir(dir)
		}
	}
}

// isOver reports whether a directory belongs to a program that has ended. One that is being made
// has no socket yet, so that the connection is not refused.
func isOver(dir string) bool {
	s, err := os.Lstat(dir)
	if err != nil || !s.IsDir() || !isThisUsers(s) {
		return false
	}
	conn, err := net.Dial("unix", filepath.Join(dir, shim.SocketName))
	if err == nil {
		conn.Close()
		return false
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return true
	}
	target, err := os.Readlink(filepath.Join(dir, shim.Names[0]))
	return err == nil && strings.HasPrefix(filepath.Base(filepath.Dir(target)), shim.EndedPrefix)
}
