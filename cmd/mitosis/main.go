// Mitosis is the command line of the framework of that name. It goes over any
// number of hops to a host, where nothing has to be installed, and does something
// there:
//
//	mitosis run ssh:deploy@web1:2222/sudo -- systemctl restart nginx
//	mitosis run ssh:web1 -- tar -C /etc -c . | tar -t
//	mitosis shell ssh:web1/sudo:postgres
//	mitosis put ssh:web1/sudo nginx.conf /etc/nginx/nginx.conf
//	mitosis get ssh:web1 /var/log/nginx logs
//	mitosis forward ssh:web1 -L 5432:db:5432 -R 8080:localhost:80 -D 1080
//	mitosis socks ssh:web1
//	mitosis probe ssh:web1
//	mitosis ssh ssh:web1/sudo -t top
//	mitosis with ssh:web1/sudo -- rsync -a site/ web:/srv/www/
//	mitosis version
//
// A hop path lists the hops from here to there, with slashes between them, or,
// where nothing else follows, as several arguments: see connect.ParsePath. A comma
// between two hosts passes through the first one as ssh -J does.
// Options may come before and after the operands; what is behind "--" is none.
// "mitosis help COMMAND" tells what a command has.
//
// # Run and shell
//
// "run" runs a program with its arguments as they are; there is no shell in
// between. Standard input, output and error are the program's, byte for byte.
// "shell" is the login shell of the user at the end of the path, on a terminal
// if standard input is one.
//
// The signals INT, TERM, HUP and QUIT go to the process group at the far side;
// the third of a kind kills it. When this program ends, however it does, all
// that it started there is killed, and a warning tells of what a program had left
// running; with --keep-jobs that lives on.
//
// # Ssh and with
//
// Both have a local program, which for "ssh" is ssh, find the far side by its calls of
// ssh: see package fakessh. As with ssh, what a command leaves running there when it
// ends by itself lives on, unless --keep-jobs=false is given ahead of the hops.
//
// # Put and get
//
// Both copy files and directory trees. A file is at the target when it is
// complete and checked, and a file that was there before stays as it was until
// then. Standard output has a line for each operand that was copied: its SHA-256
// ("-" for a tree), its size in bytes and the absolute path of the target, with
// spaces between them.
//
// # Forward and socks
//
// Connections are forwarded in both directions, with the options of ssh. Nothing
// is logged of them but those that could not be made. Standard output has a line
// for each listener once all of them are open: the option, the address that is
// listened on, and where that leads to. INT and TERM end both commands, in
// order and with status 0.
//
// # Questions
//
// Passwords, codes and passphrases are asked for at the terminal, in the words of
// whoever wants them. What a server or a module of PAM tells on the way is shown on
// standard error, behind the path of the hop. Without a terminal nobody is asked, and
// the error lists what was tried.
//
// # Exit status
//
// That of the program at the far side, or 128 and the number of the signal that
// it died by; 127 if there is no such program and 126 if it cannot be executed.
// 255 is a hop that could not be made or was lost, 1 another error, 2 a
// command line that makes no sense, and 128 and its number a signal during
// connecting and copying. Standard output has nothing on it but results.
//
// # Agents
//
// A program that was built by "make release", or after "make agents", sends a smaller one
// in its place, which has the same functions. One that was installed by "go install"
// sends itself.
//
// # Environment
//
// MITOSIS_LOG is the least level of what is logged to standard error, "warn"
// unless it is set. With "info" it has what tools say on the way, with "debug"
// also how a copy comes to the far side.
//
// With MITOSIS_CACHE set to anything, hosts keep the program in their users' cache
// directories, checked on each use, and the next time it does not have to be
// sent: see contexts.Config.Cache.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/mitosis-go/mitosis"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// The exit statuses.
const (
	exitError = 1
	exitUsage = 2
	exitHop   = 255
)

func main() {
	contexts.Init()
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
}

// job is what a command line asks for. It returns the exit status.
type job func(out, errOut io.Writer) int

// execute does what the arguments say and returns the exit status.
func execute(args []string, out, errOut io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(errOut, overview())
		return exitUsage
	}
	name, args := args[0], args[1:]
	if name == "-h" || name == "--help" {
		name = "help"
	}
	c := findCommand(name)
	if c == nil {
		return complain(errOut, unknownCommand(name), exitUsage)
	}
	do, err := c.parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, c.text())
		return 0
	}
	if err != nil {
		return complain(errOut, fmt.Errorf("%s: %w", name, err), exitUsage)
	}
	return do(out, errOut)
}

// complain tells of an error and returns the status.
func complain(errOut io.Writer, err error, status int) int {
	fmt.Fprintf(errOut, "mitosis: %v\n", err)
	return status
}

func parseVersion(args []string) (job, error) {
	if _, err := operands(newFlags(), args, 0, 0); err != nil {
		return nil, err
	}
	return func(out, _ io.Writer) int {
		fmt.Fprintf(out, "mitosis %s %s/%s %s\n", version(), runtime.GOOS, runtime.GOARCH, runtime.Version())
		return 0
	}, nil
}

// version is that of the module, and behind it the one that the go command knows of
// this build, if that is another one: it names the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" || info.Main.Version == mitosis.Version {
		return mitosis.Version
	}
	return mitosis.Version + " (" + info.Main.Version + ")"
}

// session goes over the hops and has something done there, which returns the
// exit status. Signals end ctx, with caughtError as the cause, until do takes
// them for something else.
func session(hops []connect.Method, errOut io.Writer, do func(context.Context, *contexts.Node, *forwarder) int) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := newForwarder(cancel)
	self, node, err := dial(ctx, hops)
	if err != nil {
		return caughtOr(ctx, complain(errOut, err, exitHop))
	}
	defer func() {
		if err := self.Close(); err != nil {
			_ = complain(errOut, err, 0)
		}
	}()
	return do(ctx, node, signals)
}

// failure is the status of an error of a node.
func failure(err error) int {
	if errors.Is(err, contexts.ErrGone) {
		return exitHop
	}
	return exitError
}

// dial makes the hops of a path. The tree, and with it the node, ends with
// self.
func dial(ctx context.Context, hops []connect.Method) (self, node *contexts.Node, err error) {
	if self, err = startTree(ctx); err != nil {
		return nil, nil, err
	}
	if node, err = reach(ctx, self, hops); err != nil {
		_ = self.Close() // why there is no node says more
		return nil, nil, err
	}
	return self, node, nil
}

// reach makes the hops of a path, from a node on.
func reach(ctx context.Context, node *contexts.Node, hops []connect.Method) (_ *contexts.Node, err error) {
	for _, hop := range hops {
		if node, err = node.Connect(ctx, hop); err != nil {
			return nil, err
		}
	}
	return node, nil
}
