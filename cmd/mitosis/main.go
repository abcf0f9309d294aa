// Mitosis is the command line of the framework of that name. It goes over any number of hops to
// a host, on which nothing has to be installed, and works there:
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
//	mitosis config
//	mitosis version
//
// A host is one word: a path of hops with slashes between them, see connect.ParsePath. web1 is
// ssh:web1. A comma within ssh:jump,web1 passes the connection on at jump, as with ssh -J; without
// ssh: in front it could mean two hosts, and is an error. Options may come before and after the
// operands, but not behind "--". "mitosis help COMMAND" lists the options of a command, and
// "mitosis completion SHELL" prints a script that completes them.
//
// # Several hosts
//
//	mitosis run web1 web2 -- uptime
//	mitosis run -w 'web[01-30],@db!db2' --batch 5 --stop-at 20% -- systemctl restart nginx
//	mitosis get -w @web /etc/nginx/nginx.conf 'conf/{host}/'
//
// Several words, or -w with a host set, are several hosts for run, shell and probe; for put and
// get there is only -w. Package contexts/fleet says how a set is written, package
// contexts/fleet/inventory what an inventory is: that of --inventory, else of the settings. A host
// that has the variable behind there is reached by way of the hosts that it names. The other
// commands take one host. With -w the output has the form for several hosts even if the set has one.
//
// Lines that hosts print have the name of the host and a colon in front; one of more than 64 KiB
// comes in pieces. With -b outputs come at the end, equal ones once, below the names of their
// hosts. With --json each host is an object on a line, as docs/schema says. Either has the last
// MiB of each output. A terminal shows control characters of hosts, and does not obey them. A
// standard input that is no terminal goes to all hosts as a whole. "shell" runs each line that it
// reads by a shell of its own on all hosts. In names of files of put and get, {host} is the name
// of the host, escaped as in URLs where it has slashes and the like.
//
// At the end standard error has a summary. If a host has failed, the run is kept under
// $XDG_STATE_HOME/mitosis/runs, else ~/.local/state/mitosis/runs, for 30 days, with its command
// line, and --retry-failed NAME does the same for the hosts that are not done.
//
// The first Ctrl-C begins with no more hosts and ends what runs; the second ends at once. QUIT
// prints the stacks of all goroutines and ends, with status 131, unless a command gets it.
//
// # Options of ssh
//
// -i, -F, -o, -p and -l are those of ssh, for all hops by ssh that do not say otherwise. Where ssh
// and clush differ, a letter is that of ssh if it is about the connection or the program (-l, -t,
// -n, -o), and that of clush if it is about the hosts (-w, -x, -f, -b, -q). -C is the directory, as
// of make and tar, and the login environment of run is --login, since -l is the user.
//
// # Run and shell
//
// "run" runs a program with exactly the given arguments, without a shell. It has the standard
// input, output and error of this process, byte for byte. "shell" runs the login shell of the
// user at the end of the path, on a terminal if standard input is one.
//
// The signals INT, TERM, HUP and QUIT go to the process group at the far side; the third of a
// kind kills it. When this process ends, in whatever way, the program and its child processes
// are killed. A warning tells of processes that the program had left running; with --keep-jobs
// they are spared.
//
// # Ssh and with
//
// Both run a local program whose calls of ssh lead to the far side: see package fakessh. For
// "ssh" that program is ssh. As with ssh, processes are spared that a command leaves running
// when it ends by itself, unless --keep-jobs=false is given in front of the hops.
//
// # Put and get
//
// Both copy files and directory trees. A new file appears at the target when it is complete and
// checked; until then an old one stays. Standard output has a line for each copied operand: its
// SHA-256 ("-" for a tree), its size in bytes and the absolute path of the target, with spaces
// between them.
//
// # Forward and socks
//
// Both forward connections, with the options of ssh. They log only connections that failed. When
// all listeners are open, standard output has a line for each: the option, the address and the
// target. INT and TERM end both commands, with status 0.
//
// # Questions
//
// Passwords, codes and passphrases are asked for at the terminal, in the words of the tool or
// server. Notices of servers and of PAM modules are shown on standard error, behind the path of
// the hop. Without a terminal SSH_ASKPASS is run, where ssh would, and else nobody is asked, and the
// error lists the attempts. --password-from has a password for all hops; one that refuses it is
// not given it again.
//
// # Exit status
//
// It is that of the program at the far side, or 128 and the number of the signal that killed it;
// 127 if there is no such program, and 126 if it cannot be executed. 255 means that a hop failed
// or was lost, 2 that the command line or a setting is wrong, and 1 another error. A signal while
// it connects or copies gives 128 and the number of the signal, and --timeout 124. Standard output
// has only results. Of several hosts it is the highest: 1 for one that was not tried, 255 for one
// that was not reached.
//
// # Agents
//
// A program that was built by "make release", or after "make agents", sends a smaller program in
// its place, which has the same functions. One that was installed by "go install" sends itself.
//
// # Settings
//
// What holds for all commands is set in ~/.config/mitosis/config.yaml or in the environment, and
// "mitosis config" shows it with its source: docs/cli.md has the keys and variables. Of log,
// which is MITOSIS_LOG in the environment, the level "info" includes the output of tools, and
// "debug" also how a copy starts at the far side; -v shows of these the steps of each hop, and -vv
// is "debug". With cache hosts keep the program in the cache directory of the user, and it is not
// sent the next time. It is checked at each use: see contexts.Config.Cache.
package main

import (
	"context"
	"errors"
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

// job does the work of a command line, and returns the exit status.
type job func(out, errOut io.Writer) int

// execute runs a command line and returns the exit status.
func execute(args []string, out, errOut io.Writer) int { return newProgram(out, errOut).run(args) }

// complain prints an error and returns the status.
func complain(errOut io.Writer, err error, status int) int {
	fmt.Fprintf(errOut, "mitosis: %s\n", forReader(errOut, inWords(err)))
	if more := advice(err); more != "" {
		fmt.Fprintf(errOut, "mitosis: %s\n", more)
	}
	return status
}

// printing returns the job that does nothing but print.
func printing(show func(out io.Writer) error) job {
	return func(out, errOut io.Writer) int {
		if err := show(out); err != nil {
			return complain(errOut, err, exitError)
		}
		return 0
	}
}

func declareVersion(s *sections) parser {
	asJSON := s.add("Options").Bool("json", false, "one JSON object")
	return func(w words) (job, error) {
		if all := w.all(); len(all) > 0 {
			return nil, tooMany(all[0])
		}
		return printing(func(out io.Writer) error {
			if *asJSON {
				return printJSON(out, shownVersion{version(), runtime.GOOS, runtime.GOARCH, runtime.Version()})
			}
			return printVersion(out)
		}), nil
	}
}

// shownVersion is the version, as docs/schema/version.json says.
type shownVersion struct {
	Version string `json:"version"`
	GOOS    string `json:"goos"`
	GOARCH  string `json:"goarch"`
	Go      string `json:"go"`
}

func printVersion(out io.Writer) error {
	_, err := fmt.Fprintf(out, "mitosis %s %s/%s %s\n", version(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	return err
}

// version returns the version of the module. Behind it is the one that the go command has
// recorded for this build, if that is another one: it names the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" || info.Main.Version == mitosis.Version {
		return mitosis.Version
	}
	return mitosis.Version + " (" + info.Main.Version + ")"
}

// session makes the hops, and calls do with the last node, which returns the exit status.
// Signals end ctx, with caughtError as the cause, until do makes a command their receiver.
func session(hops []connect.Method, limits *severalOptions, errOut io.Writer, do func(context.Context, *contexts.Node, *forwarder) int) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := newForwarder(cancel)
	connecting, stop := limits.whileConnecting(ctx)
	node, end, err := dial(ctx, connecting, hops)
	stop()
	if err != nil {
		return caughtOr(ctx, complain(errOut, err, exitHop))
	}
	defer func() {
		if err := end(); err != nil {
			_ = complain(errOut, err, 0)
		}
	}()
	working, stop := limits.whileWorking(ctx)
	defer stop()
	status := do(working, node, signals)
	if errors.Is(context.Cause(working), errTimeout) && status != 0 {
		return exitTimeout
	}
	return status
}

// failure returns the exit status for an error of a node.
func failure(err error) int {
	if errors.Is(err, contexts.ErrGone) {
		return exitHop
	}
	return exitError
}

// dial makes the hops of a path, by the broker or from a tree of this process. end ends what it has
// begun.
func dial(ctx, connecting context.Context, hops []connect.Method) (node *contexts.Node, end func() error, err error) {
	if node, end, err = dialBroker(ctx, connecting, hops); node != nil || err != nil {
		return node, end, err
	}
	self, err := startTree(ctx, os.Stderr)
	if err != nil {
		return nil, nil, err
	}
	if node, err = self.ConnectHops(connecting, hops...); err != nil {
		_ = self.Close() // the error of the hop is the one to report
		return nil, nil, err
	}
	return node, self.Close, nil
}
