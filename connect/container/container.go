// Package container continues in a separate part of a host: in containers and pods ([Docker],
// [Podman], [Kubectl] ...), directory trees ([Chroot]) and namespaces ([Nsenter], [Unshare]).
package container

import (
	"slices"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// missingShell is the hint if the far side has no shell, without which no hop works.
const missingShell = "the first stage needs /bin/sh in there"

// containerSays are the messages of the tools of this package, the most precise first. They
// are English, except for the texts of libc.
var containerSays = []failure.Saying{
	failure.Says("permission denied while trying to connect", connect.ErrPermission, "become root first, or join the group that owns the runtime's socket"),
	failure.Says("(forbidden)", connect.ErrPermission, "the cluster's rules do not let this user run commands in the pod"),
	failure.Says("unauthorized", connect.ErrPermission, "log in to the cluster or registry first"),
	failure.Says("must be logged in", connect.ErrPermission, "log in to the cluster first"),
	failure.Says("daemon running", connect.ErrNoContainer, "start the runtime's daemon, or say where it listens"),
	failure.Says("cannot connect to", connect.ErrNoContainer, "start the runtime's daemon, or say where it listens"),
	failure.Says("was refused - did you specify", connect.ErrRefused, clusterAddress),
	failure.Says("no such host", connect.ErrNoHost, clusterAddress),
	failure.Says("server misbehaving", connect.ErrResolver, clusterAddress),
	failure.Says("connect: connection refused", connect.ErrRefused, clusterAddress),
	failure.Says("connect: no route to host", connect.ErrUnreachable, clusterAddress),
	failure.Says("connect: network is unreachable", connect.ErrUnreachable, clusterAddress),
	failure.Says("i/o timeout", connect.ErrTimeout, clusterAddress),
	failure.Says("unable to connect to the server", connect.ErrStart, clusterAddress),
	failure.Says("unable to find user", connect.ErrBadName, "the container's passwd does not have the user"),
	failure.Says("no matching entries in passwd", connect.ErrBadName, "the container's passwd does not have the user"),
	failure.Says("invalid user", connect.ErrBadName, ""),
	failure.Says("pull access denied", connect.ErrNoContainer, pullFirst),
	failure.Says("did not resolve to an alias", connect.ErrNoContainer, pullFirst),
	failure.Says("manifest unknown", connect.ErrNoContainer, pullFirst),
	failure.Says("image not known", connect.ErrNoContainer, pullFirst),
	failure.Says("no such image", connect.ErrNoContainer, pullFirst),
	failure.Says("unable to find image", connect.ErrNoContainer, pullFirst),
	failure.Says("no such container", connect.ErrNoContainer, startFirst),
	failure.Says("no container with", connect.ErrNoContainer, startFirst),
	failure.Says("not running", connect.ErrNoContainer, startFirst),
	failure.Says("container state improper", connect.ErrNoContainer, startFirst),                                                     // podman
	failure.Says("failed to get init pid", connect.ErrNoContainer, startFirst),                                                       // lxc-attach
	failure.Says("host is down", connect.ErrNoContainer, startFirst),                                                                 // systemd-run
	failure.Says("container not known", connect.ErrNoContainer, startFirst),                                                          // buildah
	failure.Says("needed permissions", connect.ErrPermission, "become root first, or join the group that owns the runtime's socket"), // incus
	failure.Says("completed pod", connect.ErrNoContainer, startFirst),
	failure.Says("executable file not found", connect.ErrStart, missingShell),
	failure.Says("failed to run command", connect.ErrStart, missingShell), // chroot
	failure.Says("can't execute", connect.ErrStart, missingShell),         // busybox
	failure.Says("failed to execute", connect.ErrStart, missingShell),     // util-linux
	failure.Says("failed to exec", connect.ErrStart, missingShell),        // lxc-attach
	failure.Says("stat /bin/sh", connect.ErrStart, missingShell),
	failure.Says("lack access", connect.ErrPermission, "become root first"),
	failure.Says("doesn't exist", connect.ErrNoContainer, startFirst),
	failure.Says("not found", connect.ErrNoContainer, startFirst),
	failure.Says("does not exist", connect.ErrNoContainer, startFirst),
	failure.Says("operation not permitted", connect.ErrPermission, "become root first"),
	failure.Says("permission denied", connect.ErrPermission, "become root first"),
	failure.Says("no such file or directory", connect.ErrNoContainer, startFirst),
}

const (
	startFirst = "check the name, and start it if it is stopped"
	pullFirst  = "check the image's name, and load or pull it first"

	clusterAddress = "check the cluster's address in the kubeconfig, and its context there"
)

// explainContainer finds the class of a failure.
func explainContainer(how tool.Ending) failure.Verdict {
	return failure.Meaning(how.Said, containerSays)
}

// enter returns a tool that continues in a container; the last arguments are the command
// to run there.
func enter(program string, args ...[]string) *tool.Tool {
	return &tool.Tool{
		Program: program, Args: slices.Concat(args...),
		Missing: connect.ErrNoContainer, Explain: explainContainer,
	}
}

// flag is an option that is only passed if its value is not empty.
type flag struct{ name, value string }

// flags returns each option as one argument, "--name=value", so that no value can be taken
// for another option.
func flags(options ...flag) []string {
	var args []string
	for _, o := range options {
		if o.value != "" {
			args = append(args, "--"+o.name+"="+o.value)
		}
	}
	return args
}
