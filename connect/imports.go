package connect

import "fmt"

// packageOf returns the package below connect that has a method, "" if none has it. A
// program, and so each of its copies, has only the methods of packages that it imports.
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

// notImported returns the error for a method whose package this program does not import. It
// returns nil for one that the program has, and for names that no package below connect has.
func notImported(name string) error {
	registry.mu.RLock()
	_, known := registry.byName[name]
	registry.mu.RUnlock()
	if pkg := packageOf(name); pkg != "" && !known {
		return fmt.Errorf("%w %q: import github.com/mitosis-go/mitosis/connect/%s", ErrNoMethod, name, pkg)
	}
	return nil
}
