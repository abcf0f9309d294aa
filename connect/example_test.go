package connect_test

import (
	"fmt"
	"log"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
	_ "github.com/mitosis-go/mitosis/connect/all" // a path may name any method
	"github.com/mitosis-go/mitosis/connect/become"
)

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
	argv, err := connect.DryRun(become.Doas{User: "postgres"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.Join(argv, " "))
	// Output: doas -u postgres -- /bin/sh -c exec /bin/sh -c "$0" >&0 ...
}
