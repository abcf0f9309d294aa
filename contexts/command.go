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

// Command is a command that runs, or will run, on the host of a context. It is used like
// exec.Cmd: fill in the fields, then call Run, Output, CombinedOutput, or Start and Wait. A
// Command is used once.
//
//	cmd := node.Command(ctx, "systemctl", "restart", "nginx")
//	cmd.Env = []string{"SYSTEMD_COLORS=0"}
//	out, err := cmd.CombinedOutput()
//	if exit, ok := errors.AsType[*contexts.ExitError](err); ok {
//		fmt.Println(exit.Code, exit.Signal)
//	}
//
// There is no shell in between, so nothing has to be quoted. A shell is a command like any
// other, and its parameters need no quoting either:
//
//	node.Command(ctx, "sh", "-c", `for f in "$@"; do wc -l <"$f"; done`, "sh", a, b)
//
// Standard input, output and error are three streams, byte for byte: nothing is mixed,
// converted or cut. A short command takes one round trip in all. Long output comes as fast
// as it is read, in constant memory.
//
// # Life
//
// The command leads a session of its own, and so a process group. The group gets SIGTERM
// and, after KillDelay, SIGKILL, when ctx ends, when IdleTimeout is over, when Stdin cannot
// be read, and when the context or its caller is lost.
//
// Processes that the command leaves running when it ends by itself, such as daemons, run
// until the context ends. With KeepJobs they run on after that. A daemon that holds the
// command's output open does not hold up Wait: see WaitDelay.
//
// # Errors
//
// All methods return *[Error] with the path of the node. It wraps
//
//   - exec.ErrNotFound, fs.ErrNotExist, fs.ErrPermission or another reason, if the command
//     could not be started;
//   - *[ExitError], if it did not end with status 0;
//   - the cause of ctx, [ErrIdle], or the error of Stdin, if it was killed for that;
//   - exec.ErrWaitDelay, if its output was not read to the end: see WaitDelay;
//   - [ErrGone] or the like, if the context was lost.
//
// The output is complete unless the error wraps one of the last two.
type Command struct {
	// Path is the program. A name without a slash is looked for in the PATH of the
	// environment in which the command will run. Only absolute entries of PATH count.
	Path string
	// Args is the argument vector, the program's name at its head.
	Args []string

	// Env is added to the environment of the context. Entries have the form "NAME=value".
	// Of equal names the last counts.
	Env []string
	// ClearEnv starts the command with the variables of Env only.
	ClearEnv bool
	// LoginEnv uses the environment that the user of the context has after login, in place
	// of that of the context. The user's login shell is asked for it, once for each context.
	LoginEnv bool
	// SourceEnv is a file of shell commands that change the environment before Env does,
	// such as the "activate" of a virtualenv. The user's login shell reads it, once for each
	// context. If that is no descendant of the Bourne shell, sh does.
	SourceEnv string

	// Dir is the working directory; "" is that of the context.
	Dir string

	// Stdin is read as the command reads its input, ahead of it by no more than the window
	// of a stream. It need not end: a terminal or a named pipe is fine. nil is an empty
	// input.
	//
	// An *os.File that can be polled is not read any more when Wait has returned. Any other
	// reader may still be in one Read, whose bytes are lost.
	//
	// If Read fails, the command is killed: it must not take a part of its input for the
	// whole.
	Stdin io.Reader
	// Stdout and Stderr receive the output. With nil it is discarded at the far side. If
	// both are the same writer, the command has one output for both, in its own order. If
	// Write fails, the command finds its output closed. Wait waits until Write returns.
	Stdout, Stderr io.Writer

	// Pty gives the command a controlling terminal, which is its standard input, output and
	// error. Stdout receives all output.
	Pty *Pty

	// WaitDelay bounds how long Wait waits for the end of the output once the command has
	// ended: another process may have the output open. Output from before the end of the
	// command arrives in any case. After the delay the output is closed. A reader of a pipe
	// gets exec.ErrWaitDelay, and Wait returns it if it has no other error. 0 means
	// DefaultWaitDelay. With a negative delay only ctx is a bound.
	WaitDelay time.Duration
	// KillDelay is the time between SIGTERM and SIGKILL. 0 means DefaultKillDelay. With a
	// negative delay there is no SIGTERM.
	KillDelay time.Duration
	// IdleTimeout, if not 0, is how long the command may go without output.
	IdleTimeout time.Duration
	// KeepJobs spares the processes that the command leaves running when it ends by itself,
	// as sshd does: under nohup or setsid, servers of tmux, jobs in the background. They
	// outlive the context and the master, however these end.
	//
	// The command itself still ends with ctx. So does its process group, except for
	// processes under nohup (Linux). Once a context has run such a command, it also spares
	// daemons of other commands that have cleared their environment. On Windows, Start fails
	// with errors.ErrUnsupported.
	KeepJobs bool

	// Pid is the process ID at the far side, set by Start.
	Pid int
	// ProcessState tells how the command ended. Wait sets it; it stays nil if that is not
	// known.
	ProcessState *ProcessState

	// Immutable.
	on    Target
	node  *Node // for which on stands; set by Start
	ctx   context.Context
	shell bool // Path is the login shell

	pipes     []*command.Pipe // made by StdinPipe and the like, before Start
	pipedIn   *command.Pipe   // one of them, or nil
	started   atomic.Bool
	waited    atomic.Bool
	running   atomic.Pointer[command.Running] // set by a Start that went well
	stderrEnd *command.Tail                   // the end of standard error, which Output keeps
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

// Command returns a command that will run on the node's host: a program and its
// arguments. When ctx ends, the command is killed.
func (n *Node) Command(ctx context.Context, name string, arg ...string) *Command {
	return newCommand(ctx, n, name, arg)
}

// Command is [Node.Command] for a managed host, which Start connects if need be.
func (h *ManagedHost) Command(ctx context.Context, name string, arg ...string) *Command {
	return newCommand(ctx, h, name, arg)
}

func newCommand(ctx context.Context, on Target, name string, arg []string) *Command {
	if ctx == nil {
		panic("contexts: Command was called with a nil Context")
	}
	return &Command{Path: name, Args: append([]string{name}, arg...), on: on, ctx: ctx}
}

// LoginShell returns the command that a login would start: the user's shell, in the home
// directory. Without arguments it is a login shell. With "-c" and a command line it runs
// that as sshd does. Path is not used.
func (n *Node) LoginShell(ctx context.Context, arg ...string) *Command {
	return newCommand(ctx, n, "login shell", arg).asShell()
}

// LoginShell is [Node.LoginShell] for a managed host, which Start connects if need be.
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

// Output runs the command and returns its standard output, also if the command fails. If
// Stderr is nil, an *ExitError has the end of its standard error.
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

// CombinedOutput runs the command and returns its standard output and error, in the order
// in which it prints them, also if the command fails.
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

// wrap puts the command and the path of its context in front of an error.
func (c *Command) wrap(err error) error {
	if err == nil {
		return nil
	}
	// The name of our own function says nothing to the caller.
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
