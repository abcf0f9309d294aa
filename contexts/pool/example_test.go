package pool_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"testing"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/pool"
)

func TestMain(m *testing.M) {
	contexts.Init()
	os.Exit(m.Run())
}

// Calls share a connection, and a stream of many bytes has one of its own. The host is this one
// here.
func Example() {
	ctx := context.Background()
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer self.Close()
	p := pool.New(self, nil)
	defer p.Close()
	bulk := p.Named("bulk", 1)

	first, err := p.GetHops(ctx, local.Child{})
	if err != nil {
		log.Fatal(err)
	}
	defer first.Release()
	second, err := p.GetHops(ctx, local.Child{})
	if err != nil {
		log.Fatal(err)
	}
	defer second.Release()
	stream, err := bulk.GetHops(ctx, local.Child{})
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Release()
	fmt.Println(first.Node() == second.Node(), first.Node() == stream.Node())
	out, err := stream.Node().Command(ctx, "seq", "3").Output()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q\n", out)
	// Output:
	// true false
	// "1\n2\n3\n"
}
