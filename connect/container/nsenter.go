package container

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/printable"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// Nsenter continues in the namespaces of a process, which is given by its ID or is the first
// process of a container. With a PID it does not need the container's runtime, and so works
// if that hangs. The child has the rights of root outside, not those of the container.
//
// Errors: [connect.ErrNoContainer] if there is no such container or process, or it does not
// run; [connect.ErrPermission]; [connect.ErrStart] if it has no shell; [connect.ErrBadName].
type Nsenter struct {
	PID        int        // of a process, as the parent of the hop sees it; or
	Container  string     // name of a container, whose first process is asked for
	Runtime    Runtime    // of the container
	Namespaces Namespaces // to join
	Path       string     // of nsenter; "" looks for it in PATH
}

// Runtime is a program that runs containers.
type Runtime uint8

// The runtimes that Nsenter can ask for the first process of a container. The numbers
// travel; append only.
const (
	RuntimeDocker     Runtime = iota // asks docker inspect
	RuntimePodman                    // asks podman inspect
	RuntimeLXC                       // asks lxc-info
	RuntimeMachinectl                // asks machinectl show
)

// leaderOf has the command line that asks for the first process of a container; its name is
// appended.
var leaderOf = [...]struct {
	runtime string
	argv    []string
}{
	RuntimeDocker:     {"docker", []string{"docker", "inspect", "--type=container", "--format={{.State.Pid}}"}},
	RuntimePodman:     {"podman", []string{"podman", "inspect", "--type=container", "--format={{.State.Pid}}"}},
	RuntimeLXC:        {"lxc", []string{"lxc-info", "-p", "-H", "-n"}},
	RuntimeMachinectl: {"machinectl", []string{"machinectl", "show", "--property=Leader", "--value"}},
}

func init() {
	connect.Register[Nsenter]("nsenter")
	connect.RegisterSyntax("nsenter", parseNsenter)
}

// Label implements Method.
func (n Nsenter) Label() string {
	if n.Container == "" || int(n.Runtime) >= len(leaderOf) {
		return "nsenter:" + strconv.Itoa(n.PID)
	}
	return "nsenter:" + leaderOf[n.Runtime].runtime + ":" + n.Container
}

// HopWord implements [connect.WordMethod].
func (n Nsenter) HopWord(w *connect.Word) connect.Method {
	w.Target(strings.TrimPrefix(n.Label(), "nsenter:"))
	n.Namespaces.hopWord(w)
	w.Text("path", &n.Path)
	w.Check(n.check())
	return n
}

// Traits implements Method.
func (Nsenter) Traits() connect.Traits { return connect.Traits{} }

// Open implements Method. ctx bounds the question for the first process.
func (n Nsenter) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	t, err := n.command(e, "")
	if err != nil {
		return nil, &connect.Error{Hop: n.Label(), Err: err}
	}
	t.Hop = n.Label()
	if n.PID == 0 {
		pid, err := n.leader(ctx)
		if err != nil {
			return nil, err
		}
		t.Args[1] = strconv.Itoa(pid)
	}
	return tool.Start(ctx, e, t)
}

// DryRun implements DryRunner.
func (n Nsenter) DryRun() ([]string, error) { return tool.DryRun(n, n.command) }

func (n Nsenter) command(e *connect.OpenRequest, _ string) (*tool.Tool, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	pid := connect.Elided // until it has been asked for
	if n.PID != 0 {
		pid = strconv.Itoa(n.PID)
	}
	return enter(tool.ProgramOr(n.Path, "nsenter"), []string{"-t", pid}, n.Namespaces.flags("-U"), []string{"--"}, e.Argv), nil
}

func (n Nsenter) check() error {
	switch {
	case n.PID < 0 || n.PID == 0 && n.Container == "" || n.PID > 0 && n.Container != "":
		return fmt.Errorf("%w: set either PID or Container", connect.ErrBadName)
	case int(n.Runtime) >= len(leaderOf):
		return fmt.Errorf("%w: no such runtime: %d", connect.ErrBadName, n.Runtime)
	case n.PID != 0:
		return nil
	}
	return check.Word("container", n.Container, "")
}

// leader returns the PID of the first process of the container.
func (n Nsenter) leader(ctx context.Context) (int, error) {
	argv := slices.Concat(leaderOf[n.Runtime].argv, []string{n.Container})
	out, err := tool.Run(ctx, n.Label(), "asking for the container's first process", argv, explainContainer)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil || pid <= 0 {
		return 0, &connect.Error{Hop: n.Label(), Err: fmt.Errorf("%w: the runtime names no first process", connect.ErrNoContainer), Output: printable.Line(out), Hint: startFirst}
	}
	return pid, nil
}

// parseNsenter reads PID or RUNTIME:CONTAINER.
func parseNsenter(arg string) (connect.Method, error) {
	if runtime, container, ok := strings.Cut(arg, ":"); ok {
		for i, l := range slices.All(leaderOf[:]) {
			if l.runtime == runtime {
				return Nsenter{Container: container, Runtime: Runtime(i)}, check.Name("container", container, "")
			}
		}
		return nil, fmt.Errorf("%w: no runtime of containers is called %q", connect.ErrBadName, printable.Name(runtime))
	}
	pid, err := strconv.Atoi(arg)
	if err != nil || pid < 1 {
		return nil, fmt.Errorf("%w: %q is no process number", connect.ErrBadName, printable.Name(arg))
	}
	return Nsenter{PID: pid}, nil
}
