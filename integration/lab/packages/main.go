// The packages program prints the Debian packages that the integration tests
// need and that this machine lacks, on one line, for use as
//
//	apt-get install $(go run ./integration/lab/packages)
//
// With -all it prints the whole list.
package main

import (
	"flag"
	"fmt"
	"strings"

	"github.com/mitosis-go/mitosis/integration/lab"
)

func main() {
	all := flag.Bool("all", false, "print every package, not only the missing ones")
	flag.Parse()
	names := lab.MissingPackages()
	if *all {
		names = nil
		for _, p := range lab.Packages {
			names = append(names, p.Name)
		}
	}
	if len(names) > 0 {
		fmt.Println(strings.Join(names, " "))
	}
}
