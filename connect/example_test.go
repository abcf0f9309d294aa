package connect_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// The examples start copies of this test program. Init serves in a copy, and does not return
// there. A program calls it first in main.
func init() { contexts.Init() }

// A hop is a value. Its label is the name of the hop in paths, errors and logs.
func ExampleSSH() {
	web := connect.SSH{
		Host:      "10.0.0.5",
		User:      "deploy",
		ProxyJump: []connect.SSH{{Host: "bastion.example", User: "ops"}},
		HostKeys:  connect.HostKeysAcceptNew,
	}
	fmt.Println(web.Label())
	// Output: ssh:ops@bastion.example,deploy@10.0.0.5
}

// A child on this host needs no other program and no rights.
func ExampleLocal() {
	ctx := context.Background()
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer self.Close()
	child, err := self.Connect(ctx, connect.Local{})
	if err != nil {
		log.Fatal(err)
	}
	grandchild, err := child.Connect(ctx, connect.Local{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(grandchild)
	// Output: local/local
}

// ParsePath reads the hops that a person has written.
func ExampleParsePath() {
	hops, err := connect.ParsePath("ssh:deploy@web1:2222/sudo/local")
	if err != nil {
		log.Fatal(err)
	}
	for _, hop := range hops {
		fmt.Println(hop.Label())
	}
	// Output:
	// ssh:deploy@web1:2222
	// sudo:root
	// local
}

// DryRun shows the command line of a hop and runs nothing.
func ExampleDryRun() {
	argv, err := connect.DryRun(connect.Doas{User: "postgres"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.Join(argv, " "))
	// Output: doas -u postgres -- /bin/sh -c ...
}
