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
	"slices"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// The exit statuses of a command that could not be started, as shells have
// them.
const (
	exitCannotExecute = 126
	exitNotFound      = 127
)

// task is what "run" and "shell" are to do.
type task struct {
	hops     []connect.Method
	argv     []string // empty: the login shell
	dir      string
	env      list
	source   string
	login    bool
	terminal bool
}

// list is a flag that can be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// parseTask reads the arguments of "run" and of "shell".
func parseTask(command string, args []string) (task, error) {
	var t task
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&t.dir, "C", "", "")
	flags.Var(&t.env, "e", "")
	flags.StringVar(&t.source, "s", "", "")
	if command == "run" {
		flags.BoolVar(&t.login, "l", false, "")
		flags.BoolVar(&t.terminal, "t", false, "")
	}
	if err := flags.Parse(args); err != nil {
		return t, err
	}
	hops := flags.Args()
	if command == "run" {
		i := slices.Index(hops, "--")
		if i < 0 || i+1 == len(hops) {
			return t, errors.New("run: what is wanted is HOP... -- PROGRAM and its arguments")
		}
		hops, t.argv = hops[:i], hops[i+1:]
	}
	if len(hops) == 0 {
		return t, fmt.Errorf("%s: no hop is given", command)
	}
	var err error
	t.hops, err = connect.ParsePath(strings.Join(hops, "/"))
	return t, err
}

// do runs the task and returns the exit status.
func (t *task) do(errOut io.Writer) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := newForwarder(cancel)
	self, node, err := dial(ctx, t.hops)
	if err != nil {
		fmt.Fprintf(errOut, "mitosis: %v\n", err)
		return caughtOr(ctx, exitHop)
	}
	defer func() {
		if err := self.Close(); err != nil {
			fmt.Fprintf(errOut, "mitosis: %v\n", err)
		}
	}()
	cmd := t.command(ctx, node)
	restore := func() {}
	if cmd.Pty != nil {
		if restore, err = raw(os.Stdin); err != nil {
			fmt.Fprintf(errOut, "mitosis: %v\n", err)
			return exitError
		}
	}
	started := cmd.Start()
	if err = started; err == nil {
		signals.forward(cmd)
		err = cmd.Wait()
	}
	restore()
	exit, isExit := errors.AsType[*contexts.ExitError](err)
	if err != nil && (!isExit || errors.Unwrap(err) != error(exit)) {
		fmt.Fprintf(errOut, "mitosis: %v\n", err)
	}
	if started != nil {
		return caughtOr(ctx, statusOfStart(err))
	}
	return caughtOr(ctx, statusOfEnd(cmd.ProcessState, err))
}

// caughtOr is the status of an end by a signal, if it was one.
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

// statusOfEnd is what the command itself says, wherever that is known.
func statusOfEnd(state *contexts.ProcessState, err error) int {
	switch {
	case state == nil:
		return exitHop
	case state.Success() && err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return exitError // what it printed could not be written here
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
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// A shell has a terminal where its user has one.
	if t.terminal || len(t.argv) == 0 && term.IsTerminal(int(os.Stdin.Fd())) {
		cmd.Stderr, cmd.Pty = nil, new(contexts.Pty)
		if cols, rows, err := term.GetSize(int(os.Stdin.Fd())); err == nil {
			cmd.Pty.Rows, cmd.Pty.Cols = rows, cols
		}
	}
	return cmd
}

// raw hands the terminal over to a program at the far side, keys and all. What
// is no terminal is left alone.
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
