package contexts_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log"
	"os"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
)

// Functions of the program are package variables. All copies of the program have them.
var (
	double = contexts.NewFunc("example.double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })

	size = contexts.NewFunc("example.size", func(_ context.Context, path string) (int64, error) {
		info, err := os.Stat(path)
		if err != nil {
			return 0, err
		}
		return info.Size(), nil
	})

	squares = contexts.NewSeqFunc("example.squares", func(_ context.Context, n int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := range n {
				if !yield(i*i, nil) {
					return
				}
			}
		}
	})

	// report is called by contexts below, which have less authority.
	report = contexts.NewFunc("example.report", func(ctx context.Context, text string) (struct{}, error) {
		fmt.Printf("%v reports: %s\n", contexts.Caller(ctx), text)
		return struct{}{}, nil
	}, contexts.AllowDescendants)

	work = contexts.NewFunc("example.work", func(ctx context.Context, master *contexts.Node) (struct{}, error) {
		return report.Call(ctx, master, "half done")
	})

	countTo3 = contexts.NewFunc("example.count", func(ctx context.Context, to contexts.Sender[int]) (struct{}, error) {
		for i := range 3 {
			if err := to.Send(ctx, i); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
)

// A program that divides. Its main begins with contexts.Init; in a test that is in TestMain.
// The child here is another process on this host. With ssh.Login it would be one on another host.
func Example() {
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
	n, err := double.Call(ctx, child, 21)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(child, "says", n)
	// Output: local says 42
}

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

// An error of a remote function keeps its meaning, and says where it happened.
func ExampleFunc_Call() {
	ctx := context.Background()
	self, child := startExample(ctx)
	defer self.Close()

	_, err := size.Call(ctx, child, "/no/such/place")
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	if e, ok := errors.AsType[*contexts.Error](err); ok {
		fmt.Println("at", e.Path)
	}
	// Output:
	// true
	// at local
}

// Go starts a call and does not wait, so many can be under way.
func ExampleFunc_Go() {
	ctx := context.Background()
	self, child := startExample(ctx)
	defer self.Close()

	first, second := double.Go(ctx, child, 1), double.Go(ctx, child, 2)
	a, err := first.Wait()
	if err != nil {
		log.Fatal(err)
	}
	b, err := second.Wait()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(a, b)
	// Output: 2 4
}

// CallAll asks many contexts at the same time. A failure of one is the result of that one.
func ExampleCallAll() {
	ctx := context.Background()
	self, child := startExample(ctx)
	defer self.Close()
	below, err := child.Connect(ctx, local.Child{})
	if err != nil {
		log.Fatal(err)
	}

	for node, result := range contexts.CallAll(ctx, double, []*contexts.Node{child, below}, 4) {
		fmt.Println(node, result.Value, result.Err)
	}
	// Unordered output:
	// local 8 <nil>
	// local/local 8 <nil>
}

// Results can come one by one.
func ExampleSeqFunc_Call() {
	ctx := context.Background()
	self, child := startExample(ctx)
	defer self.Close()

	for square, err := range squares.Call(ctx, child, 4) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(square)
	}
	// Output:
	// 0
	// 1
	// 4
	// 9
}

// A context below may call a function that allows it. A node is a value like any other.
func ExampleAllowDescendants() {
	ctx := context.Background()
	self, child := startExample(ctx)
	defer self.Close()

	if _, err := work.Call(ctx, child, self); err != nil {
		log.Fatal(err)
	}
	// Output: local reports: half done
}

// A mailbox is for values that come unasked. Its sender can be passed to any context.
func ExampleNewMailbox() {
	ctx := context.Background()
	self, child := startExample(ctx)
	defer self.Close()

	receiver, sender := contexts.NewMailbox[int](self, 16)
	defer receiver.Close()
	if _, err := countTo3.Call(ctx, child, sender); err != nil {
		log.Fatal(err)
	}
	for range 3 {
		m := <-receiver.C()
		fmt.Println(m.Value, "from", m.From)
	}
	// Output:
	// 0 from local
	// 1 from local
	// 2 from local
}

// A function that calls itself in another context is declared first and defined in an init
// function: as one variable it would depend on itself.
func ExampleDeclare() {
	ctx := context.Background()
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer self.Close()
	below, err := self.ConnectPath(ctx, "local/local")
	if err != nil {
		log.Fatal(err)
	}
	n, err := countDown.Call(ctx, self, []*contexts.Node{below.Parent(), below})
	fmt.Println(n, "contexts below", err)
	// Output: 2 contexts below <nil>
}

var countDown = contexts.Declare[[]*contexts.Node, int]("example.countdown")

func init() {
	countDown.Define(func(ctx context.Context, below []*contexts.Node) (int, error) {
		if len(below) == 0 {
			return 0, nil
		}
		n, err := countDown.Call(ctx, below[0], below[1:])
		return n + 1, err
	})
}
