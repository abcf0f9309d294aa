// Mitosis is the command line of the framework of that name. It goes over any
// number of hops to a host, where nothing has to be installed, and does something
// there:
//
//	mitosis run ssh:deploy@web1:2222/sudo -- systemctl restart nginx
//	mitosis run ssh:web1 -- tar -C /etc -c . | tar -t
//	mitosis shell ssh:web1/sudo:postgres
//	mitosis probe ssh:web1
//	mitosis ssh ssh:web1/sudo -t top
//	mitosis with ssh:web1/sudo -- rsync -a site/ web:/srv/www/
//	mitosis version
//
// A hop path lists the hops from here to there, with slashes between them or as
// several arguments: see connect.ParsePath.
//
// # Run and shell
//
// "run" runs a program with its arguments as they are; there is no shell in
// between. Standard input, output and error are the program's, byte for byte.
// Its options come before the hops:
//
//	-C DIR         the working directory
//	-e NAME=VALUE  a variable of its environment; may be given several times
//	-l             the environment that the user has after login
//	-s FILE        the environment that a file of shell commands makes
//	-t             a terminal
//
// "shell" is the login shell of the user at the end of the path, on a terminal
// if standard input is one; it has -C, -e and -s.
//
// The signals INT, TERM, HUP and QUIT go to the process group at the far side;
// the third of a kind kills it. When this program ends, however it does, all
// that it started there is killed.
//
// # Exit status
//
// That of the program at the far side, or 128 and the number of the signal that
// it died by; 127 if there is no such program and 126 if it cannot be executed.
// 255 is a hop that could not be made or was lost, 1 another error, 2 a
// command line that makes no sense, and 128 and its number a signal during
// connecting. Standard output has nothing on it but the program's.
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
  mitosis run [OPTION]... HOP... -- PROGRAM [ARGUMENT]...   run a program there
  mitosis shell [OPTION]... HOP...                          a login shell there
  mitosis probe HOP...       show what a host offers to a copy that wants to run there
  mitosis ssh HOPS [OPTION OF SSH]... [COMMAND]             ssh to there
  mitosis with [NAME=]HOPS... -- PROGRAM [ARGUMENT]...      a local program whose ssh leads there
  mitosis version            print the version

A hop is ssh:[USER@]HOST[:PORT], openssh:[USER@]HOST[:PORT], sudo[:USER], su[:USER],
doas[:USER], docker:CONTAINER (and so podman, buildah, lxc, lxd, incus, jail and
machinectl), kubectl:POD[:CONTAINER][@NAMESPACE], nsenter:PID, unshare or local; a
path of hops is written ssh:web1/sudo, or as several arguments.

Options of run and shell:
  -C DIR         the working directory
  -e NAME=VALUE  a variable of the environment; may be given several times
  -s FILE        the environment that a file of shell commands makes
  -l             (run) the environment that the user has after login
  -t             (run) a terminal
`

// The exit statuses.
const (
	exitError = 1
	exitUsage = 2
	exitHop   = 255
)

func main() {
	contexts.Init()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, out, errOut io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(errOut, usage)
		return exitUsage
	}
	command, args := args[0], args[1:]
	switch {
	case (command == "run" || command == "shell") && len(args) > 0:
		t, err := parseTask(command, args)
		if err != nil {
			fmt.Fprintf(errOut, "mitosis: %v\n", err)
			return exitUsage
		}
		return t.do(errOut)
	case command == "probe" && len(args) > 0:
		hops, err := connect.ParsePath(strings.Join(args, "/"))
		if err != nil {
			fmt.Fprintf(errOut, "mitosis: %v\n", err)
			return exitUsage
		}
		if err := probe(hops, out); err != nil {
			fmt.Fprintf(errOut, "mitosis: %v\n", err)
			if _, ok := errors.AsType[*contexts.Error](err); ok {
				return exitHop
			}
			return exitError
		}
		return 0
	case command == "ssh" && len(args) > 0:
		return sshTo(args, errOut)
	case command == "with" && len(args) > 0:
		return withTools(args, errOut)
	case command == "version" && len(args) == 0:
		fmt.Fprintf(out, "mitosis %s %s/%s %s\n", version(), runtime.GOOS, runtime.GOARCH, runtime.Version())
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

// dial makes the hops of a path. The tree, and with it the node, ends with
// self.
func dial(ctx context.Context, hops []connect.Method) (self, node *contexts.Node, err error) {
	if self, err = contexts.Start(ctx, &contexts.Config{Prompt: ask}); err != nil {
		return nil, nil, err
	}
	node = self
	for _, hop := range hops {
		if node, err = node.Connect(ctx, hop); err != nil {
			_ = self.Close() // why there is no node says more
			return nil, nil, err
		}
	}
	return self, node, nil
}

// probe connects all hops but the last, and prints what is found behind that.
func probe(hops []connect.Method, out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	self, node, err := dial(ctx, hops[:len(hops)-1])
	if err != nil {
		return err
	}
	defer self.Close()
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
