// Command spread copies a file between this host and that of a context, over so many
// connections, and prints the rates as JSON. PATH is the hop path to the context: see
// connect.ParsePath.
//
//	spread PATH CONNECTIONS put|get FROM TO
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	_ "github.com/mitosis-go/mitosis/connect/all" // PATH may name any method
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
)

// rates are in units of 10^6 bytes per second.
type rates struct {
	Whole   float64 // of the whole copy, from the call to its return
	Settled float64 // of the part between a third and 95 percent of the contents
}

func main() {
	contexts.Init()
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 5 {
		return errors.New("usage: spread PATH CONNECTIONS put|get FROM TO")
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	hops, err := connect.ParsePath(args[0])
	if err != nil {
		return err
	}
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		return err
	}
	defer self.Close()
	on := make([]contexts.Target, n)
	for i := range on {
		if on[i], err = self.ConnectHops(ctx, hops...); err != nil {
			return err
		}
	}
	r, err := measure(ctx, on, args[2], args[3], args[4])
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func measure(ctx context.Context, on []contexts.Target, what, from, to string) (r rates, err error) {
	var at []time.Time
	var bytes []int64
	o := files.Options{Over: on[1:], Progress: func(p files.Progress) {
		at, bytes = append(at, time.Now()), append(bytes, p.Bytes)
	}}
	began := time.Now()
	var res files.Result
	if what == "put" {
		res, err = files.Put(ctx, on[0], from, to, &o)
	} else {
		res, err = files.Get(ctx, on[0], from, to, &o)
	}
	if err != nil {
		return r, err
	}
	r.Whole = float64(res.Size) / 1e6 / time.Since(began).Seconds()
	first, last := 0, 0
	for i, n := range bytes {
		if n < res.Size/3 {
			first = i
		}
		if n < res.Size*95/100 {
			last = i
		}
	}
	r.Settled = float64(bytes[last]-bytes[first]) / 1e6 / at[last].Sub(at[first]).Seconds()
	return r, nil
}
