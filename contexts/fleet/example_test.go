package fleet_test

import (
	"context"
	"fmt"
	"log"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/fleet"
)

func ExampleParseHosts() {
	hosts, err := fleet.ParseHosts("web[01-04].example.com,db[1-3]!db2")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(hosts.Len(), hosts)
	fmt.Println(hosts.Minus(fleet.NewHosts("web02.example.com")))
	// Output:
	// 6 db[1,3],web[01-04].example.com
	// db[1,3],web[01,03-04].example.com
}

// A command runs on three members, which are processes on this host here; with ssh they are
// reached by their names, and Config need not say how.
func ExampleRun() {
	ctx := context.Background()
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer self.Close()
	group, err := fleet.New(self, fleet.NewHosts("web1", "web2", "web3"), &fleet.Config{
		Hops: func(name string) ([]connect.Method, error) {
			return []connect.Method{local.Exec{Name: name, Argv: []string{"env", "HOST=" + name}}}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer group.Close()
	careful := group.With(fleet.Policy{Batches: []fleet.Share{{N: 1}, {Percent: 100}}, StopAbove: &fleet.Share{}})
	results := fleet.Collect(fleet.Run(ctx, careful, fleet.Command{Args: []string{"sh", "-c", `[ $HOST = web3 ] && echo old || echo new`}}))
	for _, f := range results.Fold() {
		fmt.Printf("%v: %s", f.Hosts, f.Value.Stdout)
	}
	// Output:
	// web[1-2]: new
	// web3: old
}
