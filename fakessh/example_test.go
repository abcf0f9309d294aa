//go:build unix

package fakessh_test

import (
	"context"
	"fmt"
	"log"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/fakessh"
)

// A local program calls ssh, and so reaches a context. "web" is a name that only this program knows.
func ExampleCommand() {
	ctx := context.Background()
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer self.Close()
	web, err := self.Connect(ctx, local.Child{}) // or ssh.Login, and become.Sudo behind it
	if err != nil {
		log.Fatal(err)
	}

	hosts := fakessh.Hosts{Names: map[string]contexts.Target{"web": web}}
	cmd := fakessh.Command(ctx, hosts, "sh", "-c", `echo "from here" | ssh web "tr a-z A-Z"`)
	out, err := cmd.Output()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(out))
	// Output: FROM HERE
}
