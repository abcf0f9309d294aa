package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/fakessh"
)

// parseWith reads the hops and the local program whose calls of ssh lead to their ends:
//
//	with HOP... -- rsync -a site/ any:/srv
//	with web=ssh:web1/sudo db=ssh:db1 -- scp -3 web:/a db:/b
func parseWith(args []string) (job, error) {
	flags, keep := jobFlags(true)
	operands, argv, err := parseArguments(flags, args)
	if err != nil {
		return nil, err
	}
	if len(operands) == 0 || len(argv) == 0 {
		return nil, errors.New("give HOP... -- PROGRAM and its arguments")
	}
	var unnamed []string
	paths := make(map[string]string)
	for _, a := range operands {
		if name, path, named := strings.Cut(a, "="); named {
			paths[name] = path
		} else {
			unnamed = append(unnamed, a)
		}
	}
	if len(unnamed) > 0 {
		paths[""] = strings.Join(unnamed, "/")
	}
	ways := make(map[string][]connect.Method)
	for name, path := range paths {
		hops, err := connect.ParsePath(path)
		if err != nil {
			return nil, err
		}
		ways[name] = hops
	}
	return func(_, errOut io.Writer) int { return runLedTo(ways, *keep, argv, errOut) }, nil
}

// jobFlags returns the flags of commands that can spare processes which a command leaves
// running, and the variable that says whether they do.
func jobFlags(byDefault bool) (*flag.FlagSet, *bool) {
	flags := newFlags()
	return flags, flags.Bool("keep-jobs", byDefault, "")
}

// runLedTo runs a program whose calls of ssh lead to the ends of paths, by name. The path of ""
// is for all other names.
func runLedTo(paths map[string][]connect.Method, keepJobs bool, argv []string, errOut io.Writer) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	// A terminal's signals reach the program, too. A signal to this process alone is passed
	// on. The exit status is that of the program.
	signals := make(chan os.Signal, 16)
	for _, s := range endingSignals {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	started := make(chan *fakessh.Cmd, 1)
	go func() {
		var cmd *fakessh.Cmd
		for s := range signals {
			select {
			case cmd = <-started:
			default:
			}
			switch {
			case cmd == nil:
				cancel(caughtError(s.(syscall.Signal)))
			case s == syscall.SIGTERM || s == syscall.SIGHUP:
				if errors.Is(cmd.Process.Signal(s), os.ErrProcessDone) {
					cancel(caughtError(s.(syscall.Signal)))
				}
			}
		}
	}()
	self, err := startTree(ctx)
	if err != nil {
		return caughtOr(ctx, complain(errOut, err, exitHop))
	}
	defer self.Close()
	hosts := fakessh.Hosts{Names: make(map[string]contexts.Target), KeepJobs: keepJobs}
	for name, hops := range paths {
		node, err := reach(ctx, self, hops)
		if err != nil {
			return caughtOr(ctx, complain(errOut, err, exitHop))
		}
		if name == "" {
			hosts.Default = node
		} else {
			hosts.Names[name] = node
		}
	}
	cmd := fakessh.Command(ctx, hosts, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Ended = func() error { return stayInBackground(ctx, cmd) }
	if err := cmd.Start(); err != nil {
		return complain(errOut, err, statusOfStart(err))
	}
	started <- cmd
	err = cmd.Wait()
	if _, isExit := errors.AsType[*exec.ExitError](err); err != nil && !isExit {
		_ = complain(errOut, err, 0)
	}
	return statusOfProcess(cmd.ProcessState)
}

// statusOfProcess returns the status that a shell has for the end of a local program.
func statusOfProcess(state *os.ProcessState) int {
	if w, ok := state.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return state.ExitCode()
}
