//go:build linux

package attach_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/attach"
)

// visits is the state of a context. Its functions read and write it.
var visits int

var visit = contexts.NewFunc("example.visit", func(context.Context, struct{}) (int, error) {
	visits++
	return visits, nil
}, contexts.Serial)

// startExample makes a tree of a master and one child.
func startExample(ctx context.Context) (self, child *contexts.Node) {
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	child, err = self.Connect(ctx, local.Child{})
	if err != nil {
		log.Fatal(err)
	}
	return self, child
}

// One program listens, and another process of the same program joins its tree. Here one process does both.
func ExampleJoin() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example") // its mode is 0700, as it has to be
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "tree")

	self, _ := startExample(ctx)
	defer self.Close()
	ln, err := attach.Listen(self, socket, &attach.Config{
		Grant: func(_ attach.Peer, n *contexts.Node) bool { return n.String() == "local" },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()

	m, err := attach.Join(ctx, socket, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	tree, err := m.Tree(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, info := range tree {
		if info.Node != nil && info.Node.String() == "local" {
			n, err := visit.Call(ctx, info.Node, struct{}{})
			fmt.Println("visit", n, err)
		}
	}
	// Output: visit 1 <nil>
}

// A context is left alone, and found again by a later master with the same variables.
func ExampleDetach() {
	ctx := context.Background()
	self, child := startExample(ctx)
	if _, err := visit.Call(ctx, child, struct{}{}); err != nil {
		log.Fatal(err)
	}
	d, err := attach.Detach(ctx, child, attach.Terms{Lease: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	if err := self.Close(); err != nil { // this master is gone
		log.Fatal(err)
	}

	self, host := startExample(ctx) // a later one, with a context on the same host
	defer self.Close()
	again, err := attach.Attach(ctx, host, d, nil)
	if err != nil {
		log.Fatal(err)
	}
	n, err := visit.Call(ctx, again, struct{}{})
	fmt.Println("visit", n, err)
	again.Close() // ends it
	// Output: visit 2 <nil>
}
