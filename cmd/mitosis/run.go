package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/term"

	"github.com/mitosis-go/mitosis/contexts"
)

// The exit statuses of a command that could not be started, as shells have
// them.
const (
	exitCannotExecute = 126
	exitNotFound      = 127
)

// task is the work of "run" and "shell".
type task struct {
	argv     []string // empty: the login shell
	dir      string
	env      list
	source   string
	login    bool
	terminal bool
	keepJobs *bool
}

// parseRun reads the arguments of "run".
func parseRun(args []string) (job, error) {
	var t task
	flags := t.flags()
	flags.BoolVar(&t.login, "l", false, "")
	flags.BoolVar(&t.terminal, "t", false, "")
	path, argv, err := parseArguments(flags, args)
	if err != nil {
		return nil, err
	}
	if len(path) == 0 || len(argv) == 0 {
		return nil, errors.New("give HOP... -- PROGRAM and its arguments")
	}
	t.argv = argv
	return t.job(path)
}

// parseShell reads the arguments of "shell".
func parseShell(args []string) (job, error) {
	var t task
	path, err := operands(t.flags(), args, 1, noLimit)
	if err != nil {
		return nil, err
	}
	return t.job(path)
}

// flags are the options that both commands have.
func (t *task) flags() *flag.FlagSet {
	flags, keep := jobFlags(false)
	t.keepJobs = keep
	flags.StringVar(&t.dir, "C", "", "")
	flags.Var(&t.env, "e", "")
	flags.StringVar(&t.source, "s", "", "")
	return flags
}

func (t *task) job(path []string) (job, error) {
	hops, err := parseHops(path)
	if err != nil {
		return nil, err
	}
	return func(_, errOut io.Writer) int {
		return session(hops, errOut, func(ctx context.Context, node *contexts.Node, signals *forwarder) int {
			return t.do(ctx, node, signals, errOut)
		})
	}, nil
}

// do runs the task and returns the exit status.
func (t *task) do(ctx context.Context, node *contexts.Node, signals *forwarder, errOut io.Writer) int {
	cmd := t.command(ctx, node)
	restore := func() {}
	if cmd.Pty != nil {
		var err error
		if restore, err = raw(os.Stdin); err != nil {
			return complain(errOut, err, exitError)
		}
	}
	started := cmd.Start()
	err := started
	if err == nil {
		signals.forward(cmd)
		err = cmd.Wait()
	}
	restore()
	exit, isExit := errors.AsType[*contexts.ExitError](err)
	if err != nil && (!isExit || errors.Unwrap(err) != error(exit)) {
		_ = complain(errOut, err, 0)
	}
	if started != nil {
		return caughtOr(ctx, statusOfStart(err))
	}
	return caughtOr(ctx, statusOfEnd(cmd.ProcessState, err))
}

// caughtOr returns the status for the signal that has ended ctx, or the given one if none has.
func caughtOr(ctx context.Context, status int) int {
	if s, ok := context.Cause(ctx).(caughtError); ok {
		return 128 + int(s)
	}
	return status
}

func statusOfStart(err error) int {
	switch {
	case errors.Is(err, contexts.ErrGone):
		return exitHop
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return exitNotFound
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOEXEC):
		return exitCannotExecute
	}
	return exitHop
}

// statusOfEnd returns the status of the command, if it has ended, and else one for the error.
func statusOfEnd(state *contexts.ProcessState, err error) int {
	switch {
	case state == nil:
		return exitHop
	case state.Success() && err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return exitError // its output could not be written here
	}
	return state.ShellStatus()
}

// command makes the command of the task.
func (t *task) command(ctx context.Context, node *contexts.Node) *contexts.Command {
	var cmd *contexts.Command
	if len(t.argv) > 0 {
		cmd = node.Command(ctx, t.argv[0], t.argv[1:]...)
	} else {
		cmd = node.LoginShell(ctx)
	}
	cmd.Dir, cmd.Env, cmd.SourceEnv, cmd.LoginEnv = t.dir, t.env, t.source, t.login
	cmd.KeepJobs = *t.keepJobs
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// A shell gets a terminal if this process has one.
	if t.terminal || len(t.argv) == 0 && term.IsTerminal(int(os.Stdin.Fd())) {
		cmd.Stderr, cmd.Pty = nil, new(contexts.Pty)
		if cols, rows, err := term.GetSize(int(os.Stdin.Fd())); err == nil {
			cmd.Pty.Rows, cmd.Pty.Cols = rows, cols
		}
	}
	return cmd
}

// raw makes the terminal pass all keys on to a program at the far side. It does nothing if
// standard input is no terminal.
func raw(f *os.File) (restore func(), err error) {
	if !term.IsTerminal(int(f.Fd())) {
		return func() {}, nil
	}
	state, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return nil, fmt.Errorf("the terminal: %w", err)
	}
	return func() { _ = term.Restore(int(f.Fd()), state) }, nil
}
