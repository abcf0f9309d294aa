package connect

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// missingShell is what to do about the one thing that every far side needs.
const missingShell = "the first stage needs /bin/sh in there"

// containerSays is what the tools say that enter containers, roots and
// namespaces, the most telling first. All speak English only, but for libc's part.
var containerSays = []saying{
	{"permission denied while trying to connect", verdict{ErrPermission, "become root first, or join the group that owns the runtime's socket"}},
	{"(forbidden)", verdict{ErrPermission, "the cluster's rules do not let this user run commands in the pod"}},
	{"unauthorized", verdict{ErrPermission, "log in to the cluster or registry first"}},
	{"must be logged in", verdict{ErrPermission, "log in to the cluster first"}},
	{"daemon running", verdict{ErrNoRuntime, "start the runtime's daemon, or say where it listens"}},
	{"cannot connect to", verdict{ErrNoRuntime, "start the runtime's daemon, or say where it listens"}},
	{"was refused - did you specify", verdict{ErrRefused, clusterAddress}},
	{"no such host", verdict{ErrNoHost, clusterAddress}},
	{"server misbehaving", verdict{ErrResolver, clusterAddress}},
	{"connect: connection refused", verdict{ErrRefused, clusterAddress}},
	{"connect: no route to host", verdict{ErrUnreachable, clusterAddress}},
	{"connect: network is unreachable", verdict{ErrUnreachable, clusterAddress}},
	{"i/o timeout", verdict{ErrTimeout, clusterAddress}},
	{"unable to connect to the server", verdict{ErrStart, clusterAddress}},
	{"unable to find user", verdict{ErrBadName, "the container's passwd does not have the user"}},
	{"no matching entries in passwd", verdict{ErrBadName, "the container's passwd does not have the user"}},
	{"invalid user", verdict{ErrBadName, ""}},
	{"pull access denied", verdict{ErrNoRuntime, pullFirst}},
	{"did not resolve to an alias", verdict{ErrNoRuntime, pullFirst}},
	{"manifest unknown", verdict{ErrNoRuntime, pullFirst}},
	{"image not known", verdict{ErrNoRuntime, pullFirst}},
	{"no such image", verdict{ErrNoRuntime, pullFirst}},
	{"unable to find image", verdict{ErrNoRuntime, pullFirst}},
	{"no such container", verdict{ErrNoRuntime, startFirst}},
	{"no container with", verdict{ErrNoRuntime, startFirst}},
	{"not running", verdict{ErrNoRuntime, startFirst}},
	{"container state improper", verdict{ErrNoRuntime, startFirst}},                                                       // podman
	{"failed to get init pid", verdict{ErrNoRuntime, startFirst}},                                                         // lxc-attach
	{"host is down", verdict{ErrNoRuntime, startFirst}},                                                                   // systemd-run
	{"container not known", verdict{ErrNoRuntime, startFirst}},                                                            // buildah
	{"needed permissions", verdict{ErrPermission, "become root first, or join the group that owns the runtime's socket"}}, // incus
	{"completed pod", verdict{ErrNoRuntime, startFirst}},
	{"executable file not found", verdict{ErrStart, missingShell}},
	{"failed to run command", verdict{ErrStart, missingShell}}, // chroot
	{"can't execute", verdict{ErrStart, missingShell}},         // busybox
	{"failed to execute", verdict{ErrStart, missingShell}},     // util-linux
	{"failed to exec", verdict{ErrStart, missingShell}},        // lxc-attach
	{"stat /bin/sh", verdict{ErrStart, missingShell}},
	{"lack access", verdict{ErrPermission, "become root first"}},
	{"doesn't exist", verdict{ErrNoRuntime, startFirst}},
	{"not found", verdict{ErrNoRuntime, startFirst}},
	{"does not exist", verdict{ErrNoRuntime, startFirst}},
	{"operation not permitted", verdict{ErrPermission, "become root first"}},
	{"permission denied", verdict{ErrPermission, "become root first"}},
	{"no such file or directory", verdict{ErrNoRuntime, startFirst}},
}

const (
	startFirst = "check the name, and start it if it is stopped"
	pullFirst  = "check the image's name, and load or pull it first"

	clusterAddress = "check the cluster's address in the kubeconfig and Context"
)

// explainContainer finds the class of a failure.
func explainContainer(how ending) verdict {
	return meaning(how.said, containerSays)
}

// enter is the plan of a tool that continues in a container; the last arguments are
// what to run there.
func enter(program string, args ...[]string) *tool {
	return &tool{
		program: program, args: slices.Concat(args...),
		missing: ErrNoRuntime, explain: explainContainer,
	}
}

// flag is an option that is given where its value is not empty.
type flag struct{ name, value string }

// flags are options as one argument each, "--name=value", so that a value can't
// be taken for another option.
func flags(options ...flag) []string {
	var args []string
	for _, o := range options {
		if o.value != "" {
			args = append(args, "--"+o.name+"="+o.value)
		}
	}
	return args
}

// runTool runs a tool to its end and returns what it prints. ctx kills it.
func runTool(ctx context.Context, hop, phase string, argv []string) (string, error) {
	var said words
	said.secrets, said.last = &secrets{}, &lastWords{on: onStderr}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stderr, cmd.WaitDelay = &said, time.Second
	out, err := cmd.Output()
	if err == nil {
		return string(out), nil
	}
	e := &Error{Hop: hop, Phase: phase, Output: said.String()}
	v := meaning(strings.Split(e.Output, " / "), containerSays)
	e.Err, e.Hint = v.class, v.hint
	switch {
	case ctx.Err() != nil:
		e.Err = fmt.Errorf("%w: %w", ErrTimeout, context.Cause(ctx))
	case cmd.Process == nil:
		e.Err = classify(ErrNoRuntime, classify(ErrStart, err))
	}
	e.Err = cmp.Or(e.Err, fmt.Errorf("%w: %s: %w", ErrNoRuntime, argv[0], err))
	return "", e
}
