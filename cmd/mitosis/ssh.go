package main

import (
	"errors"
	"io"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/fakessh"
)

// declareSSH is for the arguments of ssh, with a hop path in place of the destination. The
// options of ssh and the command come behind the path, our own options before it.
func declareSSH(s *sections) parser {
	keep := declareKeepJobs(s.add("Options"), true)
	var o hostOptions
	o.declareOne(s)
	return func(w words) (job, error) {
		args := w.all()
		if len(args) == 0 {
			return nil, errors.New("give a host, and then options and a command as behind the host of ssh")
		}
		hops, err := o.onlyPath("ssh", args[:1])
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
}
