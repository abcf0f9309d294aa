package connect

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// Nsenter continues in the namespaces of a process: of one that is given by its
// number, or of the first one of a container. It needs no help of the container's
// runtime and so works where that hangs. The rights are those of root outside, not
// of the container.
//
// Errors: [ErrNoRuntime] where there is no such container or process, or it does
// not run; [ErrPermission]; [ErrStart] where there is no shell in it;
// [ErrBadName].
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

func init() { Register[Nsenter]("nsenter") }

// Label implements Method.
func (n Nsenter) Label() string {
	if n.Container == "" || int(n.Runtime) >= len(leaderOf) {
		return "nsenter:" + strconv.Itoa(n.PID)
	}
	return "nsenter:" + leaderOf[n.Runtime].runtime + ":" + n.Container
}

// Traits implements Method.
func (Nsenter) Traits() Traits { return Traits{} }

// Open implements Method. ctx bounds the question for the container's first
// process.
func (n Nsenter) Open(ctx context.Context, e *Env) (bootstrap.Carrier, error) {
	t, err := n.plan(e, "")
	if err != nil {
		return nil, &Error{Hop: n.Label(), Err: err}
	}
	t.hop = n.Label()
	if n.PID == 0 {
		pid, err := n.leader(ctx)
		if err != nil {
			return nil, err
		}
		t.args[1] = strconv.Itoa(pid)
	}
	return startTool(ctx, e, t)
}

func (n Nsenter) plan(e *Env, _ string) (*tool, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	pid := Elided // until it has been asked for
	if n.PID != 0 {
		pid = strconv.Itoa(n.PID)
	}
	return enter(programOr(n.Path, "nsenter"), []string{"-t", pid}, n.Namespaces.flags("-U"), []string{"--"}, e.Argv), nil
}

func (n Nsenter) check() error {
	switch {
	case n.PID < 0 || n.PID == 0 && n.Container == "" || n.PID > 0 && n.Container != "":
		return fmt.Errorf("%w: either PID or Container has to be given", ErrBadName)
	case int(n.Runtime) >= len(leaderOf):
		return fmt.Errorf("%w: no such runtime: %d", ErrBadName, n.Runtime)
	case n.PID != 0:
		return nil
	}
	return checkWord("container", n.Container, "")
}

// leader asks for the first process of the container.
func (n Nsenter) leader(ctx context.Context) (int, error) {
	argv := slices.Concat(leaderOf[n.Runtime].argv, []string{n.Container})
	out, err := runTool(ctx, n.Label(), "asking for the container's first process", argv)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil || pid <= 0 {
		return 0, &Error{Hop: n.Label(), Err: fmt.Errorf("%w: it has no first process", ErrNoRuntime), Output: cleanLine(out), Hint: startFirst}
	}
	return pid, nil
}
