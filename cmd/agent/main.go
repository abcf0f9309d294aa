// Agent is what the command line sends to other hosts: it has all functions of
// cmd/mitosis, and nothing of what talks to a person. Command pack makes the files
// of it that cmd/mitosis embeds: see the Makefile's target "agents".
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
