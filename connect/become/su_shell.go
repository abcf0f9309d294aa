package become

import (
	"context"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The payload of su is at descriptors 3 and 4, and the shell that su starts has to pass them
// on to the first stage. Shells of the csh family close inherited descriptors above 2 (tcsh
// keeps sockets). For them the payload is a socket at descriptor 1, and su asks on its
// standard input and error.
var closingShells = []string{"csh", "tcsh", "bsd-csh"}

// shellCloses reports whether su starts one of the closingShells.
func (s Su) shellCloses() bool {
	shell := s.Shell
	if shell == "" && s.PreserveEnv {
		shell = os.Getenv("SHELL")
	}
	if shell == "" {
		shell = loginShell(s.user())
	}
	// A link to tcsh may have any name.
	names := []string{path.Base(shell)}
	if to, err := filepath.EvalSymlinks(shell); err == nil {
		names = append(names, path.Base(to))
	}
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(closingShells, name) })
}

// loginShell returns the login shell of a user, "" if that is not known in time. It asks the
// system for users that are not in /etc/passwd.
func loginShell(user string) string {
	entry := ""
	if passwd, err := os.ReadFile("/etc/passwd"); err == nil {
		for line := range strings.Lines(string(passwd)) {
			if strings.HasPrefix(line, user+":") {
				entry = line
				break
			}
		}
	}
	if entry == "" {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, "getent", "passwd", user)
		cmd.WaitDelay = time.Second
		out, err := cmd.Output()
		if err != nil {
			return ""
		}
		entry = string(out)
	}
	fields := strings.Split(strings.TrimSpace(entry), ":")
	if len(fields) < 7 {
		return ""
	}
	return fields[6]
}
