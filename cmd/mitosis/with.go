package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/fakessh"
)

// declareWith is for hosts and the local program whose calls of ssh lead to them:
//
//	with HOST -- rsync -a site/ any:/srv
//	with web=ssh:web1/sudo db=ssh:db1 -- scp -3 web:/a db:/b
func declareWith(s *sections) parser {
	keep := declareKeepJobs(s.add("Options"), true)
	var o hostOptions
	o.declareOne(s)
	return func(w words) (job, error) {
		if len(w.operands) == 0 || len(w.behind) == 0 {
			return nil, errors.New("give HOST... -- PROGRAM and its arguments")
		}
		var unnamed []string
		ways := make(map[string][]connect.Method)
		for _, a := range w.operands {
			name, path, named := strings.Cut(a, "=")
			if !named {
				unnamed = append(unnamed, a)
				continue
			}
			hops, err := o.onlyPath("with", []string{path})
			if err != nil {
				return nil, err
			}
			ways[name] = hops
		}
		if len(unnamed) > 0 {
			hops, err := o.onlyPath("with, for all names,", unnamed)
			if err != nil {
				return nil, err
			}
			ways[""] = hops
		}
		return func(_, errOut io.Writer) int { return runLedTo(ways, *keep, w.behind, errOut) }, nil
	}
}

// keepJobs declares the option of commands that can spare processes which a command leaves
// running, and returns the variable that says whether they do.
func declareKeepJobs(f *pflag.FlagSet, byDefault bool) *bool {
	usage := "let live on what the program leaves running; else it ends with it"
	if byDefault {
		usage = "let live on what commands leave running there"
	}
	return f.Bool("keep-jobs", byDefault, usage)
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
				dumpAtQuit(s)
				cancel(caughtError(s.(syscall.Signal)))
			case s == syscall.SIGTERM || s == syscall.SIGHUP:
				if errors.Is(cmd.Process.Signal(s), os.ErrProcessDone) {
					cancel(caughtError(s.(syscall.Signal)))
				}
			}
		}
	}()
	self, err := startTree(ctx, os.Stderr)
	if err != nil {
		return caughtOr(ctx, complain(errOut, err, exitHop))
	}
	defer self.Close()
	hosts := fakessh.Hosts{Names: make(map[string]contexts.Target), KeepJobs: keepJobs}
	for name, hops := range paths {
		connecting, stop := (*severalOptions)(nil).whileConnecting(ctx)
		node, err := self.ConnectHops(connecting, hops...)
		stop()
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
