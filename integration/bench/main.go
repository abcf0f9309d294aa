//go:build linux

// Command bench measures the speeds and sizes that the project promises, and
// prints one row for each promise.
//
//	bench [-quick] [-peers]
//
// Run it in a directory of one of the project's modules, which may be anywhere.
//
// A number from one machine says little about another. So each row also has the
// physical limit, or another tool for the same job, measured in the same run and
// in turns with it. The promise is a bound on the ratio of the two. The exit
// status is 1 if a promise is missed by more than half.
//
// The rows on ssh and sudo need root. They are measured between two hosts of
// package lab. One has the real sshd and sudo, the other the OpenSSH client and
// a copy of this program as the master of a tree. The rows on local children
// need no root. With -peers, Mitogen does the same jobs between the same hosts,
// if Debian's python3-mitogen is installed.
//
// This program runs itself again in several roles; see roles. Since a role
// prints its rows as JSON lines, it can run wherever the lab puts it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"

	"github.com/mitosis-go/mitosis/contexts"
)

// A role is a task for which this program starts itself again, with arguments.
type role func(ctx context.Context, args []string) error

var roles = map[string]role{
	"ping":    servePing,
	"pong":    servePong,
	"zeros":   serveZeros,
	"drain":   serveDrain,
	"hello":   sayHello,
	"cores":   twoCores,
	"stalled": stalledReaders,
	"inside":  insideClient,
}

func main() {
	contexts.Init()
	ctx := context.Background() // each measurement is bounded: see inTurns
	if len(os.Args) > 1 {
		if r := roles[os.Args[1]]; r != nil {
			if err := r(ctx, os.Args[2:]); err != nil {
				fmt.Fprintf(os.Stderr, "bench %s: %v\n", os.Args[1], err)
				os.Exit(1)
			}
			return
		}
	}
	flag.BoolVar(&quick, "quick", false, "fewer rounds: a look, not a measurement")
	peers := flag.Bool("peers", false, "measure Mitogen too, where it is installed")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}

	var t table
	t.add("calls", callRows)
	t.add("streams", streamRows)
	t.add("starting and memory", startRows)
	t.add("ssh and sudo", func(ctx context.Context) ([]row, error) { return networkRows(ctx, *peers) })
	if !t.measure(ctx) {
		os.Exit(1)
	}
}

// quick asks for a short run. The roles get it by the environment.
var quick = os.Getenv("BENCH_QUICK") != ""

// rounds returns the number of rounds of a measurement: n, or fewer if the run is quick.
func rounds(n int) int {
	if quick {
		return max(2, n/3)
	}
	return n
}

// start makes this process a master that logs only warnings and errors.
func start(ctx context.Context) (*contexts.Node, error) {
	return contexts.Start(ctx, &contexts.Config{
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
}

// tell prints a row, or another result, as JSON for the process that started this role.
func tell(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }
