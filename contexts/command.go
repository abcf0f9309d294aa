package contexts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/mitosis-go/mitosis/contexts/internal/command"
	"github.com/mitosis-go/mitosis/core"
)

// Command is a command that runs, or is to run, on the host of a context. It has
// the shape of exec.Cmd: fill in the fields, then call Run, Output,
// CombinedOutput, or Start and Wait. A Command is used once.
//
//	cmd := node.Command(ctx, "systemctl", "restart", "nginx")
//	cmd.Env = []string{"SYSTEMD_COLORS=0"}
//	out, err := cmd.CombinedOutput()
//	if exit, ok := errors.AsType[*contexts.ExitError](err); ok {
//		fmt.Println(exit.Code, exit.Signal)
//	}
//
// There is no shell in between, so nothing has to be quoted; where one is
// wanted, it is a command like any other, and its parameters need no quoting
// either:
//
//	node.Command(ctx, "sh", "-c", `for f in "$@"; do wc -l <"$f"; done`, "sh", a, b)
//
// Standard input, output and error are streams of their own, byte for byte:
// nothing is mixed, converted or cut. What is short takes one round trip in
// all: the request carries everything, the answers come one behind the other.
// What is long is paced by who reads it, in constant memory.
//
// # Life
//
// The command is the leader of a session, and so of a process group, of its
// own. When ctx ends, when IdleTimeout is over, when Stdin cannot be read, or
// when the context or its caller is lost, the group gets SIGTERM and, after
// KillDelay, SIGKILL. What a command leaves running when it ends by itself, a
// daemon, goes on until the context ends.
//
// With KeepJobs it goes on after that.
//
// A daemon that holds the command's output open does not hold up Wait: see
// WaitDelay.
//
// # Errors
//
// Start, Wait and all that use them return *[Error] with the path of the node.
// It unwraps to *[ExitError] if the command did not end with status 0; to the
// cause of ctx, [ErrIdle], or the error of Stdin, if the command was killed for
// that; to exec.ErrNotFound, fs.ErrNotExist, fs.ErrPermission or another reason
// why it could not be started; to exec.ErrWaitDelay; or to [ErrGone] and the
// like if the context was lost. Output is complete if none of the last two is
// in the error.
type Command struct {
	// Path is the program. Without a slash it is looked for in the PATH of the
	// environment in which the command will run, of which only absolute entries
	// count.
	Path string
	// Args is the argument vector, the program's name at its head.
	Args []string

	// Env is added to the environment of the context; the last of equal names
	// counts. Entries are of the form "NAME=value".
	Env []string
	// ClearEnv makes Env all there is.
	ClearEnv bool
	// LoginEnv takes the environment that the user of the context has after
	// login in place of that of the context: it is what the user's login shell,
	// run as such, says. It is found out once for each context.
	LoginEnv bool
	// SourceEnv is a file of shell commands, for example the "activate" of a
	// virtualenv, that changes the environment before Env does. It is read by
	// the user's login shell, or by sh where that is not a descendant of the
	// Bourne shell, once for each context.
	SourceEnv string

	// Dir is the working directory; "" is that of the context.
	Dir string

	// Stdin is read as the command reads its input, no further ahead than a
	// stream's window. It need not end: a terminal or a named pipe is fine. For
	// an *os.File that can be polled, nothing is read any more when Wait has
	// returned; any other reader may be left in one Read, which nobody waits
	// for. nil is an empty input.
	//
	// If Read fails, the command is killed: it must not take a part of its
	// input for the whole.
	Stdin io.Reader
	// Stdout and Stderr receive the output; nil discards it at the far side. If
	// both are the same, the command has one output for both, in its order. If
	// Write fails, the command finds its output closed. Wait waits for Write to
	// return.
	Stdout, Stderr io.Writer

	// Pty gives the command a terminal, its controlling one, for standard
	// input, output and error. What it prints on both comes to Stdout.
	Pty *Pty

	// WaitDelay bounds how long Wait waits for the end of the output once the
	// command has ended, since another process may have it open. Output that was
	// written before the end of the command arrives in any case. After the delay the
	// output is closed: Wait, if it has no other error, and a reader of the pipe
	// return exec.ErrWaitDelay. 0 is DefaultWaitDelay; less is no bound but ctx.
	WaitDelay time.Duration
	// KillDelay is the time between SIGTERM and SIGKILL. 0 is
	// DefaultKillDelay; less is no SIGTERM at all.
	KillDelay time.Duration
	// IdleTimeout, if not 0, is how long the command may go without output.
	IdleTimeout time.Duration
	// KeepJobs spares the processes that the command leaves running when it ends by
	// itself, as sshd does: nohup, setsid, a server of tmux, jobs in the
	// background. Then neither the end of the context nor that of the master, by any
	// cause, ends them. The command itself still ends with ctx, and so does its process
	// group, except for processes under nohup (Linux). Once a context has run such a
	// command, a daemon of any other command that has cleared its environment is
	// spared as well. On Windows, Start fails with errors.ErrUnsupported.
	KeepJobs bool

	// Pid is the process ID at the far side, set by Start.
	Pid int
	// ProcessState tells how the command ended; set by Wait, nil where that is
	// not known.
	ProcessState *ProcessState

	// Immutable.
	on    Target
	node  *Node // that on stands for; set by Start
	ctx   context.Context
	shell bool // Path is the login shell

	pipes     []*command.Pipe // made by StdinPipe and the like, before Start
	pipedIn   *command.Pipe   // one of them, or nil
	started   atomic.Bool
	waited    atomic.Bool
	running   atomic.Pointer[command.Running] // set by a Start that went well
	stderrEnd *command.Tail                   // what Output keeps of standard error
}

// Pty describes a terminal.
type Pty struct {
	Rows, Cols int    // of characters; 0 is 24 and 80
	Term       string // the value of TERM; "" is that of this process, or xterm
}

// The defaults of Command.WaitDelay and Command.KillDelay.
const (
	DefaultWaitDelay = time.Second
	DefaultKillDelay = time.Second
)

// ErrIdle is in the error of a command that was killed because it printed
// nothing for its IdleTimeout.
var ErrIdle = command.ErrIdle

// Command returns a command that is to run on the node's host: a program and
// its arguments. When ctx ends, the command is killed.
func (n *Node) Command(ctx context.Context, name string, arg ...string) *Command {
	return newCommand(ctx, n, name, arg)
}

// Command is [Node.Command] for a managed host, which Start connects where it is not.
func (h *ManagedHost) Command(ctx context.Context, name string, arg ...string) *Command {
	return newCommand(ctx, h, name, arg)
}

func newCommand(ctx context.Context, on Target, name string, arg []string) *Command {
	if ctx == nil {
		panic("contexts: Command was called with a nil Context")
	}
	return &Command{Path: name, Args: append([]string{name}, arg...), on: on, ctx: ctx}
}

// LoginShell returns the command that a login would start: the user's shell, in
// the home directory. With no arguments it is a login shell; with "-c" and a
// command line it is what sshd makes of that. Path is not used.
func (n *Node) LoginShell(ctx context.Context, arg ...string) *Command {
	return newCommand(ctx, n, "login shell", arg).asShell()
}

// LoginShell is [Node.LoginShell] for a managed host, which Start connects where it is not.
func (h *ManagedHost) LoginShell(ctx context.Context, arg ...string) *Command {
	return newCommand(ctx, h, "login shell", arg).asShell()
}

func (c *Command) asShell() *Command {
	c.shell = true
	return c
}

// Run starts the command and waits for its end.
func (c *Command) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the command and returns what it prints on its standard output,
// also where it fails. If Stderr is nil, an *ExitError holds the end of what
// was printed there.
func (c *Command) Output() ([]byte, error) {
	if c.Stdout != nil {
		return nil, c.wrap(errors.New("its Stdout is set already"))
	}
	var out bytes.Buffer
	c.Stdout = &out
	if c.Stderr == nil && c.Pty == nil {
		c.stderrEnd = new(command.Tail)
		c.Stderr = c.stderrEnd
	}
	err := c.Run()
	if exit, ok := errors.AsType[*ExitError](err); ok && c.stderrEnd != nil {
		exit.Stderr = c.stderrEnd.Bytes()
	}
	return out.Bytes(), err
}

// CombinedOutput runs the command and returns what it prints on its standard
// output and error, in the order in which it does, also where it fails.
func (c *Command) CombinedOutput() ([]byte, error) {
	if c.Stdout != nil {
		return nil, c.wrap(errors.New("its Stdout is set already"))
	}
	if c.Stderr != nil {
		return nil, c.wrap(errors.New("its Stderr is set already"))
	}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// wrap says which command it was, and where.
func (c *Command) wrap(err error) error {
	if err == nil {
		return nil
	}
	// What the call of our own function was named says nothing to the caller.
	if e, ok := err.(*Error); ok && e.Op == commandCall {
		if e.Err == nil {
			return &Error{Op: "run " + c.Path, Path: c.on.String(), Kind: e.Kind}
		}
		err = e.Err
	}
	return &Error{Op: "run " + c.Path, Path: c.on.String(), Err: err}
}

func init() {
	core.RegisterSentinel(220, ErrIdle)
	core.RegisterSentinel(221, exec.ErrWaitDelay)
	core.RegisterErrorType[*ExitError]("contexts.ExitError")
}
