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

// Nsenter continues in the namespaces of a process: of one that is given by its
// number, or of the first one of a container. It needs no help of the container's
// runtime and so works where that hangs. The rights are those of root outside, not
// of the container.
//
// Errors: [connect.ErrNoContainer] where there is no such container or process, or it does
// not run; [connect.ErrPermission]; [connect.ErrStart] where there is no shell in it;
// [connect.ErrBadName].
type Nsenter struct {
	PID        int        // of a process as seen by the parent of the hop; or
	Container  string     // the name of a container, whose first process is looked up
	Runtime    Runtime    // whose container it is
	Namespaces Namespaces // to join
	Path       string     // of nsenter; "" looks for it in PATH
}

// Runtime is what runs a container.
type Runtime uint8

// The runtimes that can be asked for the first process of a container. The
// numbers travel; append only.
const (
	RuntimeDocker     Runtime = iota // asks docker inspect
	RuntimePodman                    // asks podman inspect
	RuntimeLXC                       // asks lxc-info
	RuntimeMachinectl                // asks machinectl show
)

// leaderOf is the question for the first process of a container, whose name is
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

// Traits implements Method.
func (Nsenter) Traits() connect.Traits { return connect.Traits{} }

// Open implements Method. ctx bounds the question for the container's first
// process.
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
		return fmt.Errorf("%w: either PID or Container has to be given", connect.ErrBadName)
	case int(n.Runtime) >= len(leaderOf):
		return fmt.Errorf("%w: no such runtime: %d", connect.ErrBadName, n.Runtime)
	case n.PID != 0:
		return nil
	}
	return check.Word("container", n.Container, "")
}

// leader asks for the first process of the container.
func (n Nsenter) leader(ctx context.Context) (int, error) {
	argv := slices.Concat(leaderOf[n.Runtime].argv, []string{n.Container})
	out, err := tool.Run(ctx, n.Label(), "asking for the container's first process", argv, explainContainer)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil || pid <= 0 {
		return 0, &connect.Error{Hop: n.Label(), Err: fmt.Errorf("%w: it has no first process", connect.ErrNoContainer), Output: printable.Line(out), Hint: startFirst}
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
