// Mitosis is the command line of the framework of that name. It shows what a
// host offers to a copy of the program that wants to run there:
//
//	mitosis probe ssh:deploy@web1:2222
//	mitosis probe ssh:web1 sudo:root
//	mitosis version
//
// A hop path lists the hops from here to there, as "ssh:web1/sudo:root" or as
// several arguments. The last hop is probed, those before it are connected.
//
// The exit status is 0, 1 for an error, 2 for a command line that makes no
// sense, and 255 for a hop that failed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"text/tabwriter"

	"golang.org/x/term"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

const usage = `usage:
  mitosis probe HOP...   show what a host offers to a copy that wants to run there
  mitosis version        print the version

A hop is ssh:[USER@]HOST[:PORT], openssh:[USER@]HOST[:PORT], sudo[:USER] or local.
`

// The exit statuses.
const (
	exitError = 1
	exitUsage = 2
	exitHop   = 255
)

func main() {
	contexts.Init()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(errOut, usage)
		return exitUsage
	}
	switch command, args := args[0], args[1:]; {
	case command == "version" && len(args) == 0:
		fmt.Fprintf(out, "mitosis %s %s/%s %s\n", version(), runtime.GOOS, runtime.GOARCH, runtime.Version())
		return 0
	case command == "probe" && len(args) > 0:
		hops, err := parseHops(args)
		if err != nil {
			fmt.Fprintf(errOut, "mitosis: %v\n", err)
			return exitUsage
		}
		if err := probe(ctx, hops, out); err != nil {
			fmt.Fprintf(errOut, "mitosis: %v\n", err)
			if e := new(contexts.Error); errors.As(err, &e) {
				return exitHop
			}
			return exitError
		}
		return 0
	case command == "help" || command == "-h" || command == "--help":
		fmt.Fprint(out, usage)
		return 0
	}
	fmt.Fprint(errOut, usage)
	return exitUsage
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// probe connects all hops but the last, and prints what is found behind that.
func probe(ctx context.Context, hops []connect.Method, out io.Writer) error {
	node, err := contexts.Start(ctx, &contexts.Config{Prompt: ask})
	if err != nil {
		return err
	}
	defer node.Close()
	for _, hop := range hops[:len(hops)-1] {
		if node, err = node.Connect(ctx, hop); err != nil {
			return err
		}
	}
	facts, err := node.Probe(ctx, hops[len(hops)-1])
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "system\t%s %s\n", facts.Kernel, facts.Machine)
	fmt.Fprintf(w, "image wanted\t%s/%s\n", facts.GOOS(), facts.GOARCH())
	fmt.Fprintf(w, "user ID\t%d\n", facts.UID)
	fmt.Fprintf(w, "tools\t%s\n", orNone(facts.Tools))
	fmt.Fprintf(w, "writable in memory\t%s\n", orNone(facts.Dirs))
	return w.Flush()
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, " ")
}

// ask asks at the terminal, if there is one.
func ask(_ context.Context, p connect.Prompt) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("nobody can be asked: %w", err)
	}
	defer tty.Close()
	fmt.Fprintf(tty, "%s: %s ", p.Path, strings.TrimSpace(p.Text))
	answer, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(tty)
	return string(answer), err
}
