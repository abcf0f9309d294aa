// Package functions imports all that registers functions and methods for the command line:
// the program that a person starts and the agent that it sends import this package, and
// so have the same of them.
package functions

import (
	_ "github.com/mitosis-go/mitosis/connect/all"
	_ "github.com/mitosis-go/mitosis/contexts/files"
	_ "github.com/mitosis-go/mitosis/fakessh"
)
