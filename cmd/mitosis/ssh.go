package main

import (
	"errors"
	"flag"
	"io"

	"github.com/mitosis-go/mitosis/connect"
)

// parseSSH reads what ssh takes, with a hop path in place of the destination: its
// options and the command come behind that.
func parseSSH(args []string) (job, error) {
	if len(args) == 0 {
		return nil, errors.New("what is wanted is HOPS and what ssh takes behind a host")
	}
	if args[0] == "-h" || args[0] == "--help" {
		return nil, flag.ErrHelp
	}
	hops, err := connect.ParsePath(args[0])
	if err != nil {
		return nil, err
	}
	argv := append([]string{"ssh"}, args...)
	return func(_, errOut io.Writer) int {
		return runLedTo(map[string][]connect.Method{"": hops}, argv, errOut)
	}, nil
}
