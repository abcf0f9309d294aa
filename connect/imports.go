package connect

import "fmt"

// packageOf is the package of the house that a method comes with, "" for another one.
// A program has only the methods of packages that it imports, and so have its copies.
func packageOf(name string) string {
	switch name {
	case "ssh", "openssh", "console":
		return name
	case "local", "command":
		return "local"
	case "sudo", "su", "doas":
		return "become"
	case "docker", "podman", "buildah", "kubectl", "lxc", "lxd", "incus", "jail", "machinectl", "nsenter", "chroot", "unshare":
		return "container"
	}
	return ""
}

// notImported is the error for a method of the house that this program does not have;
// nil for one that it has, and for a name that is none of theirs.
func notImported(name string) error {
	registry.mu.RLock()
	_, known := registry.byName[name]
	registry.mu.RUnlock()
	if pkg := packageOf(name); pkg != "" && !known {
		return fmt.Errorf("%w %q: import github.com/mitosis-go/mitosis/connect/%s", ErrNoMethod, name, pkg)
	}
	return nil
}
