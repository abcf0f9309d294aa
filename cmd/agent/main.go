// Agent is the program that the command line sends to other hosts. It has all functions of
// cmd/mitosis, but no command line. Command pack makes the files that cmd/mitosis embeds: see
// the Makefile's target "agents".
package main

import (
	"fmt"
	"os"

	_ "github.com/mitosis-go/mitosis/cmd/internal/functions"
	"github.com/mitosis-go/mitosis/contexts"
)

func main() {
	contexts.Init()
	fmt.Fprintln(os.Stderr, "agent: this program is started by mitosis")
	os.Exit(2)
}
