package contexts_test

import (
	"context"
	"fmt"
	"log"
	"strings"
	"sync"

	"github.com/mitosis-go/mitosis/contexts"
)

// Counters is an object that lives as long as its context.
type Counters struct{ byName map[string]int }

func (c *Counters) Add(_ context.Context, name string) (int, error) {
	c.byName[name]++
	return c.byName[name], nil
}

// Close is called when the context ends.
func (c *Counters) Close() error { return nil }

var (
	counters = contexts.NewService("example.counters", func(ctx context.Context, self *contexts.Node) (*Counters, error) {
		return &Counters{byName: make(map[string]int)}, nil
	})

	// Add needs no lock, for no two Serial methods of an object run at the same time.
	countVisit = contexts.NewMethod(counters, "add", (*Counters).Add, contexts.Serial, contexts.AllowDescendants)

	visit = contexts.NewFunc("example.visit", func(ctx context.Context, place string) (int, error) {
		return countVisit.Call(ctx, contexts.Nearest(contexts.Self(ctx)), place)
	})
)

// A service is an object that is called by name. Contexts below find the one that was started
// above them.
func ExampleNewService() {
	ctx := context.Background()
	self, child := startExample(ctx)
	defer self.Close()

	if err := counters.Start(ctx, self); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		n, err := visit.Call(ctx, child, "the sea") // it calls from child
		fmt.Println(n, err)
	}
	n, err := countVisit.Call(ctx, self, "the sea")
	fmt.Println(n, err)
	n, err = countVisit.Call(ctx, child, "the sea") // child has an object of its own
	fmt.Println(n, err)
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
	// 1 <nil>
}

// Pages is a cache in each context. What it has not, it asks the context above for.
type Pages struct {
	self   *contexts.Node
	byName sync.Map
}

func (p *Pages) Get(ctx context.Context, name string) (string, error) {
	if page, ok := p.byName.Load(name); ok {
		return page.(string), nil
	}
	var page string
	if up := p.self.Parent(); up == nil {
		fmt.Println("reading", name)
		page = strings.ToUpper(name)
	} else {
		var err error
		if page, err = getPage.Call(ctx, up, name); err != nil {
			return "", err
		}
	}
	p.byName.Store(name, page)
	return page, nil
}

var (
	pages = contexts.NewService("example.pages", func(_ context.Context, self *contexts.Node) (*Pages, error) {
		return &Pages{self: self}, nil
	})
	// All who ask a context for the same page at the same time wait for one answer from above.
	getPage = contexts.DeclareMethod[string, string](pages, "get", contexts.SingleFlight, contexts.AllowDescendants)
)

func init() { getPage.Define((*Pages).Get) }

// A method that calls itself in another context is declared first.
func ExampleDeclareMethod() {
	ctx := context.Background()
	self, child := startExample(ctx)
	defer self.Close()

	for _, n := range []*contexts.Node{child, child, self} {
		fmt.Println(getPage.Call(ctx, n, "index"))
	}
	// Output:
	// reading index
	// INDEX <nil>
	// INDEX <nil>
	// INDEX <nil>
}
