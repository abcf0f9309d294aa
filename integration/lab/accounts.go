//go:build linux

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// User is an account of a host. A User called root changes the account root, which every host has.
type User struct {
	Name string
	// Password is the plain password. If it is empty, no password is accepted.
	Password string
	// Shell is /bin/bash when empty.
	Shell string
	// Home is /home/NAME when empty. "none" gives the account a home directory that
	// does not exist.
	Home string
	// UID is the next free number from 2000 on when zero. The user's group has the
	// same number.
	UID uint32
	// Groups are further groups of the user. Those that don't exist are made.
	Groups []string
	// Keys are lines of authorized_keys.
	Keys []string
	// Locked puts the password out of use, as passwd -l does.
	Locked bool
	// Expired makes PAM demand a new password at the next login.
	Expired bool
}

// account is a line of the host's passwd, with the groups from its group file.
type account struct {
	name, home, shell string
	uid, gid          uint32
	groups            []uint32
}

// defaultSudoers is Debian's file. It replaces the machine's own rules.
const defaultSudoers = `Defaults	env_reset
Defaults	mail_badpass
Defaults	secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Defaults	use_pty
root	ALL=(ALL:ALL) ALL
%sudo	ALL=(ALL:ALL) ALL
@includedir /etc/sudoers.d
`

// firstUID leaves room for the accounts of the machine.
const firstUID = 2000

// addUsers writes the accounts. It runs on the gate's thread.
func addUsers(users []User) error {
	if err := fillHome("/root", 0); err != nil {
		return err
	}
	if len(users) == 0 {
		return nil
	}
	files := map[string][]string{}
	for _, name := range []string{"passwd", "shadow", "group", "shells"} {
		content, err := os.ReadFile("/etc/" + name)
		if err != nil && !(name == "shells" && errors.Is(err, fs.ErrNotExist)) {
			return err
		}
		files[name] = strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	}
	next := uint32(firstUID)
	for _, u := range users {
		hash := "*"
		if u.Password != "" {
			var err error
			if hash, err = hashPassword(u.Password); err != nil {
				return err
			}
		}
		if u.Locked {
			hash = "!" + hash
		}
		if u.UID == 0 {
			u.UID = next
			next++
		}
		gid := u.UID
		if u.Shell == "" {
			u.Shell = "/bin/bash"
		}
		home := u.Home
		switch home {
		case "":
			home = "/home/" + u.Name
		case "none":
			home = "/nonexistent"
		}
		if u.Name == "root" {
			u.UID, gid, home = 0, 0, "/root"
		}
		lastChange := "20000"
		if u.Expired {
			lastChange = "0"
		}
		id := strconv.FormatUint(uint64(u.UID), 10)
		group := strconv.FormatUint(uint64(gid), 10)
		setLine(files, "passwd", u.Name, "x", id, group, "", home, u.Shell)
		setLine(files, "shadow", u.Name, hash, lastChange, "0", "99999", "7", "", "", "")
		if gid != 0 {
			setLine(files, "group", u.Name, "x", group, "")
		}
		for _, name := range u.Groups {
			next += joinGroup(files, name, u.Name, next)
		}
		if !slices.Contains(files["shells"], u.Shell) {
			files["shells"] = append(files["shells"], u.Shell)
		}
		if u.Home == "none" {
			continue
		}
		if u.Name != "root" {
			if err := fillHome(home, u.UID); err != nil {
				return err
			}
		}
		if len(u.Keys) > 0 {
			if err := addKeys(home, u); err != nil {
				return err
			}
		}
	}
	for name, lines := range files {
		mode := fs.FileMode(0o644)
		if name == "shadow" {
			mode = 0o640
		}
		if err := os.WriteFile("/etc/"+name, []byte(strings.Join(lines, "\n")+"\n"), mode); err != nil {
			return err
		}
	}
	return nil
}

// setLine replaces or appends the colon-separated line whose first field is key.
func setLine(files map[string][]string, file, key string, fields ...string) {
	line := key + ":" + strings.Join(fields, ":")
	for i, old := range files[file] {
		if strings.HasPrefix(old, key+":") {
			files[file][i] = line
			return
		}
	}
	files[file] = append(files[file], line)
}

// joinGroup adds user to the group and returns how many group numbers it used up.
func joinGroup(files map[string][]string, group, user string, next uint32) uint32 {
	for i, line := range files["group"] {
		if members, found := strings.CutPrefix(line, group+":"); found {
			if !strings.HasSuffix(members, ":") {
				line += ","
			}
			files["group"][i] = line + user
			return 0
		}
	}
	setLine(files, "group", group, "x", strconv.FormatUint(uint64(next), 10), user)
	return 1
}

// fillHome makes a home directory with the files of a new Debian account.
func fillHome(home string, uid uint32) error {
	if err := os.MkdirAll(home, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir("/etc/skel")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		content, err := os.ReadFile("/etc/skel/" + e.Name())
		if err != nil {
			return err
		}
		if err := writeOwned(filepath.Join(home, e.Name()), content, 0o644, uid); err != nil {
			return err
		}
	}
	return os.Chown(home, int(uid), int(uid))
}

func addKeys(home string, u User) error {
	dir := filepath.Join(home, ".ssh")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.Chown(dir, int(u.UID), int(u.UID)); err != nil {
		return err
	}
	content := strings.Join(u.Keys, "\n") + "\n"
	return writeOwned(filepath.Join(dir, "authorized_keys"), []byte(content), 0o600, u.UID)
}

// writeOwned writes a file that can be executed at once. A child that is forked meanwhile would
// hold the file open for writing for a moment, and its execution would fail with ETXTBSY. So
// the lock keeps the process from forking.
func writeOwned(path string, content []byte, mode fs.FileMode, uid uint32) error {
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, content, mode)
	syscall.ForkLock.RUnlock()
	if err != nil {
		return err
	}
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	return os.Lchown(path, int(uid), int(uid))
}

// addSudoers writes the rules and has visudo check them.
func addSudoers(rules string) error {
	if err := writeOwned("/etc/sudoers", []byte(defaultSudoers), 0o440, 0); err != nil {
		return err
	}
	if rules == "" {
		return nil
	}
	if err := os.MkdirAll("/etc/sudoers.d", 0o755); err != nil {
		return err
	}
	const file = "/etc/sudoers.d/lab"
	if err := writeOwned(file, []byte(strings.TrimRight(rules, "\n")+"\n"), 0o440, 0); err != nil {
		return err
	}
	if out, err := exec.Command(findTool("visudo"), "-cf", file).CombinedOutput(); err != nil {
		return fmt.Errorf("sudoers: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// lookupAccount reads the host's passwd and group files. It runs on the gate's thread.
func lookupAccount(name string) (account, error) {
	content, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return account{}, err
	}
	for line := range strings.Lines(string(content)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 7 || f[0] != name {
			continue
		}
		uid, err1 := strconv.ParseUint(f[2], 10, 32)
		gid, err2 := strconv.ParseUint(f[3], 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return account{}, err
		}
		acct := account{name: name, home: f[5], shell: f[6], uid: uint32(uid), gid: uint32(gid)}
		acct.groups, err = groupsOf(name)
		return acct, err
	}
	return account{}, fmt.Errorf("lab: no user %q in the host", name)
}

func groupsOf(user string) ([]uint32, error) {
	content, err := os.ReadFile("/etc/group")
	if err != nil {
		return nil, err
	}
	var groups []uint32
	for line := range strings.Lines(string(content)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 4 || !slices.Contains(strings.Split(f[3], ","), user) {
			continue
		}
		if gid, err := strconv.ParseUint(f[2], 10, 32); err == nil {
			groups = append(groups, uint32(gid))
		}
	}
	return groups, nil
}

// hashes keeps the shadow entries of passwords, because many hosts share a few passwords.
var hashes sync.Map // string to string

// hashPassword makes a shadow entry. Perl calls libc's crypt. A thousand rounds, the smallest
// number that it allows, keep logins fast.
func hashPassword(password string) (string, error) {
	if hash, ok := hashes.Load(password); ok {
		return hash.(string), nil
	}
	cmd := exec.Command(findTool("perl"), "-e", `print crypt(<STDIN>, '$6$rounds=1000$mitosislab')`)
	cmd.Stdin = strings.NewReader(password)
	out, err := cmd.Output()
	if err != nil || !bytes.HasPrefix(out, []byte("$6$")) {
		return "", fmt.Errorf("lab: hash password: %q: %w", out, err)
	}
	hashes.Store(password, string(out))
	return string(out), nil
}
