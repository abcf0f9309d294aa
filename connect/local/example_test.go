package local_test

import (
	"context"
	"fmt"
	"log"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
)

// The examples start copies of this test program. Init serves in a copy, and does not return
// there. A program calls it first in main.
func init() { contexts.Init() }

// A child on this host needs no other program and no rights.
func ExampleChild() {
	ctx := context.Background()
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer self.Close()
	child, err := self.Connect(ctx, local.Child{})
	if err != nil {
		log.Fatal(err)
	}
	grandchild, err := child.Connect(ctx, local.Child{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(grandchild)
	// Output: local/local
}
