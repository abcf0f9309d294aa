package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"syscall"

	"github.com/spf13/pflag"
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

// task is the work of "run" and "shell".
type task struct {
	argv     []string // empty: the login shell
	dir      string
	env      []string
	source   string
	login    bool
	terminal bool
	keepJobs *bool
	noInput  bool
	hosts    hostOptions
	several  severalOptions
}

func declareRun(s *sections) parser {
	t := new(task)
	f := t.declare(s)
	f.BoolVar(&t.login, "login", false, "the environment that the user has after login")
	f.BoolVarP(&t.terminal, "tty", "t", false, "a terminal")
	f.BoolVarP(&t.noInput, "no-input", "n", false, "an empty standard input; several hosts get all of it, each")
	t.hosts.declare(s)
	f = t.several.declare(s, "run")
	f.BoolVarP(&t.several.gather, "gather", "b", false, "the output at the end, equal outputs together")
	f.BoolVar(&t.several.json, "json", false, "a JSON object for each host, on a line")
	return func(w words) (job, error) {
		if len(w.behind) == 0 {
			return nil, errors.New("give HOST... -- PROGRAM and its arguments")
		}
		t.argv = w.behind
		return t.job(w.operands)
	}
}

func declareShell(s *sections) parser {
	t := new(task)
	t.declare(s)
	t.hosts.declare(s)
	f := t.several.declare(s, "shell")
	f.BoolVarP(&t.several.gather, "gather", "b", false, "the output of a line at its end, equal outputs together")
	return func(w words) (job, error) { return t.job(w.all()) }
}

// declare declares the options that both commands have.
func (t *task) declare(s *sections) *pflag.FlagSet {
	f := s.add("Options")
	f.StringVarP(&t.dir, "chdir", "C", "", "`DIR`: the working directory")
	f.StringArrayVarP(&t.env, "env", "e", nil, "`NAME=VALUE`: a variable of the environment; may be given several times")
	f.StringVarP(&t.source, "source", "s", "", "`FILE`: the environment that a file of shell commands makes")
	t.keepJobs = declareKeepJobs(f, false)
	return f
}

func (t *task) job(paths []string) (job, error) {
	return t.several.jobFor(&t.hosts, paths, quotedArgs(t.argv), t.several.json, t.runOne, func(h *hosts) (job, error) {
		switch {
		case t.terminal:
			return nil, errors.New("a terminal is for one host")
		case len(t.argv) == 0:
			return t.broadcast(h), nil
		}
		return t.runSeveral(h), nil
	})
}

// runOne returns the job for one host.
func (t *task) runOne(hops []connect.Method) job {
	return func(_, errOut io.Writer) int {
		return session(hops, &t.several, errOut, func(ctx context.Context, node *contexts.Node, signals *forwarder) int {
			return t.do(ctx, node, signals, errOut)
		})
	}
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
	t.equip(cmd)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if t.noInput {
		cmd.Stdin = nil
	}
	// A shell gets a terminal if this process has one.
	if t.terminal || len(t.argv) == 0 && term.IsTerminal(int(os.Stdin.Fd())) {
		cmd.Stderr, cmd.Pty = nil, new(contexts.Pty)
		if cols, rows, err := term.GetSize(int(os.Stdin.Fd())); err == nil {
			cmd.Pty.Rows, cmd.Pty.Cols = rows, cols
		}
	}
	return cmd
}

// equip gives a command the environment of the task.
func (t *task) equip(cmd *contexts.Command) {
	cmd.Dir, cmd.Env, cmd.SourceEnv, cmd.LoginEnv = t.dir, t.env, t.source, t.login
	cmd.KeepJobs = *t.keepJobs
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
