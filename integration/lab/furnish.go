//go:build linux

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// furnish writes the accounts and files of the host's description. It runs on the gate's
// thread, as does everything in this file, so all paths are the host's.
func (r *Running) furnish(otherHosts string) error {
	if err := r.writeNetworkFiles(otherHosts); err != nil {
		return err
	}
	if err := r.writeEnvironment(); err != nil {
		return err
	}
	if err := quietLogins(); err != nil {
		return err
	}
	if err := hastenRefusals(); err != nil {
		return err
	}
	if err := addUsers(r.host.Users); err != nil {
		return err
	}
	if err := addSudoers(r.host.Sudoers); err != nil {
		return err
	}
	for path, content := range r.host.Files {
		if err := r.writeFile(path, content); err != nil {
			return err
		}
	}
	return r.remove()
}

// writeNetworkFiles replaces files that describe the machine. Without a name
// server in resolv.conf libc asks the loopback and is refused at once, instead of
// waiting for an answer.
func (r *Running) writeNetworkFiles(otherHosts string) error {
	hosts := fmt.Sprintf("127.0.0.1 localhost\n::1 localhost ip6-localhost\n%s %s\n%s", r.ip, r.host.Name, otherHosts)
	for path, content := range map[string]string{
		"/etc/hosts":       hosts,
		"/etc/hostname":    r.host.Name + "\n",
		"/etc/resolv.conf": "",
	} {
		// It may be a link into a /run that is not there.
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := writeOwned(path, []byte(content), 0o644, 0); err != nil {
			return err
		}
	}
	return nil
}

func (r *Running) writeEnvironment() error {
	var lines strings.Builder
	for name, value := range r.host.Env {
		fmt.Fprintf(&lines, "%s=%q\n", name, value)
	}
	if err := writeOwned("/etc/environment", []byte(lines.String()), 0o644, 0); err != nil {
		return err
	}
	locale := ""
	if r.host.Lang != "" {
		locale = "LANG=" + r.host.Lang + "\n"
		if err := makeLocale(r.host.Lang); err != nil {
			return err
		}
	}
	return writeOwned("/etc/default/locale", []byte(locale), 0o644, 0)
}

// makeLocale compiles a locale such as de_DE.UTF-8 unless libc has it.
func makeLocale(name string) error {
	known, err := exec.Command(findTool("locale"), "-a").Output()
	if err != nil {
		return fmt.Errorf("locale -a: %w", err)
	}
	normal := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "")) }
	for have := range strings.Lines(string(known)) {
		if normal(strings.TrimSpace(have)) == normal(name) {
			return nil
		}
	}
	input, charset, found := strings.Cut(name, ".")
	if !found {
		charset = "ISO-8859-1"
	}
	cmd := exec.Command(findTool("localedef"), "-i", input, "-f", charset, name)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make locale %s: %w: %s", name, err, out)
	}
	return nil
}

// quietLogins removes the scripts that some distributions run at every login to announce
// updates. They take seconds and use the network.
func quietLogins() error {
	entries, err := filepath.Glob("/etc/update-motd.d/*")
	if err != nil {
		return err
	}
	for _, e := range append(entries, "/etc/motd") {
		if err := os.Remove(e); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// hastenRefusals removes the two seconds that PAM waits after a wrong password.
func hastenRefusals() error {
	const file = "/etc/pam.d/common-auth"
	rules, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // not Debian's PAM; then refusals are slow
	}
	if err != nil || strings.Contains(string(rules), "nodelay") {
		return err
	}
	return writeOwned(file, []byte(strings.ReplaceAll(string(rules), "pam_unix.so", "pam_unix.so nodelay")), 0o644, 0)
}

// writeFile follows the rules given at Host.Files.
func (r *Running) writeFile(path, content string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("file %q: the path must be absolute", path)
	}
	owner, err := r.ownerOf(path)
	if err != nil {
		return err
	}
	var made []string
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		made = append(made, dir)
	}
	for _, dir := range slices.Backward(made) {
		mode := fs.FileMode(0o755)
		if filepath.Base(dir) == ".ssh" {
			mode = 0o700
		}
		if err := os.Mkdir(dir, mode); err != nil {
			return err
		}
		if err := os.Chown(dir, int(owner), int(owner)); err != nil {
			return err
		}
	}
	mode := fs.FileMode(0o644)
	switch {
	case strings.HasPrefix(content, "#!"):
		mode = 0o755
	case strings.Contains(content, "PRIVATE KEY-----"):
		mode = 0o600
	}
	return writeOwned(path, []byte(content), mode, owner)
}

// ownerOf returns the UID of the user whose home the path is in, and otherwise that of root.
func (r *Running) ownerOf(path string) (uint32, error) {
	for _, u := range r.host.Users {
		acct, err := lookupAccount(u.Name)
		if err != nil {
			return 0, err
		}
		if acct.uid != 0 && strings.HasPrefix(path, acct.home+"/") {
			return acct.uid, nil
		}
	}
	return 0, nil
}

func (r *Running) remove() error {
	for _, entry := range r.host.Remove {
		for _, pattern := range removePatterns(entry) {
			paths, err := filepath.Glob(pattern)
			if err != nil {
				return fmt.Errorf("remove %q: %w", entry, err)
			}
			for _, path := range paths {
				if err := os.RemoveAll(path); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// seal makes file systems read-only. It must be the last step of a host's start.
func (r *Running) seal() error {
	paths := slices.Clone(r.host.ReadOnly)
	if r.host.ReadOnlyRoot {
		paths = append(paths, "/")
	}
	for _, path := range paths {
		var st unix.Statfs_t
		if err := unix.Statfs(path, &st); err != nil {
			return fmt.Errorf("read-only %s: %w", path, err)
		}
		// A remount replaces all flags, so it has to repeat those that are set. The
		// flags that the lab uses have equal values in statfs and mount.
		const keep = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
		flags := uintptr(st.Flags)&keep | unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY
		if err := unix.Mount("", path, "", flags, ""); err != nil {
			return fmt.Errorf("read-only %s: %w", path, err)
		}
	}
	return nil
}
