package main

import (
	"errors"
	"io"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/fakessh"
)

// parseSSH reads what ssh takes, with a hop path in place of the destination: its
// options and the command come behind that, ours before.
func parseSSH(args []string) (job, error) {
	flags, keep := jobFlags(true)
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if args = flags.Args(); len(args) == 0 {
		return nil, errors.New("what is wanted is HOPS and what ssh takes behind a host")
	}
	hops, err := connect.ParsePath(args[0])
	if err != nil {
		return nil, err
	}
	argv := append([]string{"ssh"}, args...)
	do := func(_, errOut io.Writer) int {
		return runLedTo(map[string][]connect.Method{"": hops}, *keep, argv, errOut)
	}
	if line, err := fakessh.ParseCommandLine(args); err == nil && line.Fork && line.Action == fakessh.Connect {
		return inBackground(do), nil
	}
	return do, nil
}
