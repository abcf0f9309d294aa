package connect

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The methods of this package in hop paths. What they are given there is the
// one thing that they can't do without; the rest is what their zero values say.
func init() {
	RegisterSyntax("ssh", func(arg string) (Method, error) {
		jumps, to, err := parseJumped(arg)
		to.ProxyJump = jumps
		return to, err
	})
	RegisterSyntax("openssh", func(arg string) (Method, error) {
		jumps, to, err := parseJumped(arg)
		return OpenSSH{Host: to.Host, User: to.User, Port: to.Port, ProxyJump: destinations(jumps)}, err
	})

	RegisterSyntax("sudo", func(arg string) (Method, error) { return Sudo{User: arg}, checkOptional("user", arg) })
	RegisterSyntax("su", func(arg string) (Method, error) { return Su{User: arg}, checkOptional("user", arg) })
	RegisterSyntax("doas", func(arg string) (Method, error) { return Doas{User: arg}, checkOptional("user", arg) })

	RegisterSyntax("local", func(arg string) (Method, error) { return Local{}, checkNothing(arg) })
	RegisterSyntax("unshare", func(arg string) (Method, error) { return Unshare{}, checkNothing(arg) })

	RegisterSyntax("docker", func(arg string) (Method, error) { return Docker{Container: arg}, checkName("container", arg, "") })
	RegisterSyntax("podman", func(arg string) (Method, error) { return Podman{Container: arg}, checkName("container", arg, "") })
	RegisterSyntax("buildah", func(arg string) (Method, error) { return Buildah{Container: arg}, checkName("container", arg, "") })
	RegisterSyntax("lxc", func(arg string) (Method, error) { return LXC{Container: arg}, checkName("container", arg, "") })
	RegisterSyntax("lxd", func(arg string) (Method, error) { return LXD{Instance: arg}, checkName("instance", arg, "") })
	RegisterSyntax("incus", func(arg string) (Method, error) { return Incus{Instance: arg}, checkName("instance", arg, "") })
	RegisterSyntax("jail", func(arg string) (Method, error) { return Jail{Jail: arg}, checkName("jail", arg, "") })
	RegisterSyntax("machinectl", func(arg string) (Method, error) { return Machinectl{Machine: arg}, checkName("machine", arg, "") })
	RegisterSyntax("kubectl", parseKubectl)
	RegisterSyntax("nsenter", parseNsenter)
}

// parseKubectl reads POD[:CONTAINER][@NAMESPACE].
func parseKubectl(arg string) (Method, error) {
	pod, namespace, _ := strings.Cut(arg, "@")
	pod, container, _ := strings.Cut(pod, ":")
	err := cmp.Or(checkName("pod", pod, ""), checkOptional("container", container), checkOptional("namespace", namespace))
	return Kubectl{Pod: pod, Container: container, Namespace: namespace}, err
}

// parseNsenter reads PID or RUNTIME:CONTAINER.
func parseNsenter(arg string) (Method, error) {
	if runtime, container, ok := strings.Cut(arg, ":"); ok {
		for i, l := range slices.All(leaderOf[:]) {
			if l.runtime == runtime {
				return Nsenter{Container: container, Runtime: Runtime(i)}, checkName("container", container, "")
			}
		}
		return nil, fmt.Errorf("%w: no runtime of containers is called %q", ErrBadName, showName(runtime))
	}
	pid, err := strconv.Atoi(arg)
	if err != nil || pid < 1 {
		return nil, fmt.Errorf("%w: %q is no process number", ErrBadName, showName(arg))
	}
	return Nsenter{PID: pid}, nil
}

func checkNothing(arg string) error {
	if arg != "" {
		return fmt.Errorf("%w: it takes no argument", ErrBadName)
	}
	return nil
}
