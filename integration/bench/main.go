//go:build linux

// Command bench measures the speeds and sizes that the project promises, and
// prints one row for each promise.
//
//	bench [-quick] [-peers]
//
// It is run in a directory of the project's modules, which may be anywhere.
//
// A number from one machine says little about another, so each row has beside
// it the physical limit, or another tool for the same job, measured in the same
// run and in turns with it. The promise is a bound on the ratio of the two; the
// exit status is 1 where one is missed by more than half.
//
// The rows on ssh and sudo need root: they are measured between two hosts of
// package lab, with the real sshd and sudo in one of them, and in the other the
// OpenSSH client and a copy of this program as the master of a tree. Those on
// local children are measured by anybody. With -peers, Mitogen does the same
// jobs between the same hosts, where Debian's python3-mitogen is installed.
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

// A role is one thing that this program is started for, with its arguments.
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

// quick is passed on to the roles by the environment.
var quick = os.Getenv("BENCH_QUICK") != ""

// rounds returns how often something is measured.
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

// tell prints a row, or another result, for the process that started this role.
func tell(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }
