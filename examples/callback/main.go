// Callback shows a call in the other direction: a child reports its progress by calling a
// function in the master.
//
//	go run ./examples/callback
package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log"
	"os"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
)

// Progress is a report of the child.
type Progress struct {
	Done, Total int
}

// progress runs in the master. Any descendant may call it, so it trusts its argument no more
// than input from a stranger: it only prints it.
var progress = contexts.NewFunc("callback.progress",
	func(ctx context.Context, p Progress) (struct{}, error) {
		fmt.Printf("%v: %d of %d\n", contexts.Caller(ctx), p.Done, p.Total)
		return struct{}{}, nil
	}, contexts.AllowDescendants, contexts.Serial)

// work runs in the child. Its argument has the node that gets the reports.
type work struct {
	Rounds int
	Tell   *contexts.Node
}

var churn = contexts.NewFunc("callback.churn",
	func(ctx context.Context, w work) (string, error) {
		var sum [sha256.Size]byte
		for i := range w.Rounds {
			for range 1000 {
				sum = sha256.Sum256(sum[:])
			}
			if _, err := progress.Call(ctx, w.Tell, Progress{i + 1, w.Rounds}); err != nil {
				return "", err
			}
		}
		return fmt.Sprintf("%x", sum[:8]), nil
	})

func main() {
	contexts.Init()
	if err := run(context.Background()); err != nil {
		log.SetFlags(0)
		log.Print(err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		return err
	}
	defer self.Close()
	child, err := self.Connect(ctx, local.Child{})
	if err != nil {
		return err
	}
	sum, err := churn.Call(ctx, child, work{Rounds: 4, Tell: self})
	if err != nil {
		return err
	}
	fmt.Println("result:", sum)
	return self.Close()
}
