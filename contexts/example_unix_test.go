//go:build unix

package contexts_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/mitosis-go/mitosis/contexts"
)

// Command has the shape of os/exec. There is no shell in between.
func ExampleNode_Command() {
	ctx := context.Background()
	self, child := startExample(ctx)
	defer self.Close()

	out, err := child.Command(ctx, "printf", "%s!", "hello; not a shell").Output()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", out)

	err = child.Command(ctx, "sh", "-c", "echo no such disk >&2; exit 3").Run()
	if e, ok := errors.AsType[*contexts.ExitError](err); ok {
		fmt.Println("status", e.ShellStatus())
	}
	// Output:
	// hello; not a shell!
	// status 3
}
