//go:build linux

// Command benchfleet measures how far a fleet goes on one machine, and prints one row for
// each promise, as command bench does.
//
//	benchfleet [-contexts N] [-hosts N] [-profile FILE] [local|simulated|lab ...]
//
// local: contexts in three tiers are processes of this machine. simulated: the hosts have no
// processes, so that there may be 100,000 of them. lab: hosts of package lab with a real sshd
// each, flat and in two tiers, beside clush and pdsh where they are installed; it needs root.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"slices"

	"github.com/mitosis-go/mitosis/contexts"
)

// parts are the measurements, by their names.
var parts = []struct {
	name    string
	measure func(ctx context.Context) error
}{
	{"local", localTiers},
	{"simulated", simulated},
	{"lab", labHosts},
}

var (
	contextsWanted = flag.Int("contexts", 1500, "contexts of the part local")
	hostsWanted    = flag.Int("hosts", 200, "hosts of the part lab")
	profile        = flag.String("profile", "", "write the master's processor profile of the part local to this file")
)

func main() {
	contexts.Init()
	if len(os.Args) == 2 && os.Args[1] == bareRole {
		bare()
		return
	}
	flag.Parse()
	ctx := context.Background()
	var err error
	switch flag.Arg(0) {
	case doomedRole:
		err = doomed(ctx)
	case insideRole:
		err = inside(ctx, flag.Arg(1), flag.Args()[2:])
	default:
		err = measure(ctx)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "benchfleet: %v\n", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context) error {
	for _, p := range parts {
		if flag.NArg() > 0 && !slices.Contains(flag.Args(), p.name) {
			continue
		}
		if err := p.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// tell prints a row: what was measured, what it is measured against, and the promise.
func tell(what, measured, promise string) {
	fmt.Printf("%-46s %-34s %s\n", what, measured, promise)
}

// profiled runs f, and writes a profile of the processor's time if it was asked for.
func profiled(f func() error) error {
	if *profile == "" {
		return f()
	}
	out, err := os.Create(*profile)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return f()
}
