package lab

import (
	"os"
	"path/filepath"
)

// Package is a Debian package that the integration tests need.
type Package struct {
	// Name is the package's name for apt-get install.
	Name string
	// Proof is the name of a program, or a pattern of files if it begins with a slash. It
	// exists exactly if the package, or one that can take its place, is installed.
	Proof string
}

// PostgreSQL is a pattern of paths of that server's program, for any version.
const PostgreSQL = "/usr/lib/postgresql/*/bin/postgres"

// Packages lists everything that the integration tests need beyond a minimal
// Debian or Ubuntu with Go. The program in the packages directory prints those
// that are missing.
var Packages = []Package{
	{"openssh-server", "sshd"},
	{"openssh-client", "ssh"},
	{"openssh-sftp-server", "/usr/lib/openssh/sftp-server"},
	{"dropbear-bin", "dropbear"},
	{"sudo", "sudo"},
	{"opendoas", "doas"},
	{"perl", "perl"},
	{"python3", "/usr/bin/python3"},
	{"rsync", "rsync"},
	{"curl", "curl"},
	{"git", "git"},
	{"acl", "setfacl"},
	{"attr", "setfattr"},
	{"faketime", "faketime"},
	{"sshfs", "sshfs"},
	{"ansible-core", "ansible-playbook"},
	{"clustershell", "clush"},
	{"busybox-static", "busybox"},
	{"toybox", "toybox"},
	{"dash", "dash"},
	{"bash-static", "bash-static"},
	{"bash-completion", "/usr/share/bash-completion/bash_completion"},
	{"ksh93u+m", "ksh93"},
	{"mksh", "mksh"},
	{"yash", "yash"},
	{"posh", "posh"},
	{"zsh", "zsh"},
	{"fish", "fish"},
	{"tcsh", "tcsh"},
	{"csh", "bsd-csh"},
	{"rc", "rc"},
	{"elvish", "elvish"},
	{"iproute2", "ip"},
	{"xz-utils", "xz"},
	{"zstd", "zstd"},
	{"locales", "/usr/share/i18n/SUPPORTED"},
	{"procps", "ps"},
	{"util-linux", "agetty"},
	{"login", "login"},
	{"tmux", "tmux"},
	{"vim-tiny", "vi"},
	{"mandoc", "mandoc"},
	{"nano", "nano"},
	{"gcc", "gcc"},
	{"libpam0g-dev", "/usr/include/security/pam_ext.h"},
	{"postgresql", PostgreSQL},
	{"lxc", "lxc-attach"},
	{"runc", "runc"},
	{"podman", "podman"},
	{"docker.io", "dockerd"},
	{"qemu-user-static", "qemu-aarch64-static"},
	{"gcc", "gcc"},
	{"libc6-dev", "/usr/include/nss.h"},
}

// MissingPackages returns the names of the packages that are not installed.
func MissingPackages() []string {
	var missing []string
	for _, p := range Packages {
		if findTool(p.Proof) == "" {
			missing = append(missing, p.Name)
		}
	}
	return missing
}

// toolDirs is searched instead of PATH, which often lacks the sbin directories, or begins with
// programs that a user has built.
var toolDirs = []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"}

// findTool returns the absolute path of a system program, or "". A name that is an absolute
// path is a pattern.
func findTool(name string) string {
	if filepath.IsAbs(name) {
		if found, err := filepath.Glob(name); err == nil && len(found) > 0 {
			return found[0]
		}
		return ""
	}
	for _, dir := range toolDirs {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}
