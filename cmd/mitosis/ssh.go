package main

import (
	"errors"
	"io"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/fakessh"
)

// parseSSH reads the arguments of ssh, with a hop path in place of the destination. The options
// of ssh and the command come behind the path, our own options before it.
func parseSSH(args []string) (job, error) {
	flags, keep := jobFlags(true)
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if args = flags.Args(); len(args) == 0 {
		return nil, errors.New("give HOPS, and then options and a command as behind the host of ssh")
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
