package main

import (
	"fmt"
	"io"

	"github.com/mitosis-go/mitosis/connect"
)

// sshTo is ssh with a hop path in place of the destination: its options and the
// command come behind that.
func sshTo(args []string, errOut io.Writer) int {
	hops, err := connect.ParsePath(args[0])
	if err != nil {
		fmt.Fprintf(errOut, "mitosis: %v\n", err)
		return exitUsage
	}
	argv := append([]string{"ssh", args[0]}, args[1:]...)
	return runLedTo(map[string][]connect.Method{"": hops}, argv, errOut)
}
