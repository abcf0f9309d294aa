// Agent is the program that the example sends to other hosts.
package main

import (
	_ "github.com/mitosis-go/mitosis/examples/agent/work"

	"github.com/mitosis-go/mitosis/contexts"
)

func main() {
	contexts.Init()
	panic("this program is started by another")
}
