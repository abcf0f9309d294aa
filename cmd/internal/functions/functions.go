// Package functions imports all packages that register functions and methods for the command
// line. cmd/mitosis and cmd/agent import it, so that both have the same.
package functions

import (
	_ "github.com/mitosis-go/mitosis/ansible/worker"
	_ "github.com/mitosis-go/mitosis/connect/all"
	_ "github.com/mitosis-go/mitosis/contexts/attach"
	_ "github.com/mitosis-go/mitosis/contexts/broker/door"
	_ "github.com/mitosis-go/mitosis/contexts/files"
	_ "github.com/mitosis-go/mitosis/contexts/fleet"
	_ "github.com/mitosis-go/mitosis/fakessh"
)
