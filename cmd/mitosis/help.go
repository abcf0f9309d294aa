package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// command is a command of the program, with its help.
type command struct {
	name     string
	operands string
	summary  string
	options  string // a line each, with operands and details behind them
	parse    func(args []string) (job, error)
}

// commands returns the commands in the order of the overview. It is a function and no variable,
// because help is one of them and refers to it.
func commands() []command {
	return []command{
		{"run", "[OPTION]... HOP... -- PROGRAM [ARGUMENT]...", "run a program there", taskOptions + runOptions, parseRun},
		{"shell", "[OPTION]... HOP...", "a login shell there", taskOptions, parseShell},
		{"put", "[OPTION]... HOP LOCAL... REMOTE", "copy files and directories to there", copyOptionTexts + intoTexts, parsePut},
		{"get", "[OPTION]... HOP REMOTE... LOCAL", "copy files and directories from there", copyOptionTexts + intoTexts, parseGet},
		{"forward", "HOP... (-L|-R|-D) FORWARDING...", "forward connections", forwardOptions, parseForward},
		{"socks", "HOP [[BIND:]PORT]", "a SOCKS server here that connects from there", socksText, parseSocks},
		{"ssh", "[OPTION] HOPS [OPTION OF SSH]... [COMMAND]", "ssh to there", keptJobs, parseSSH},
		{"with", "[OPTION] [NAME=]HOPS... -- PROGRAM [ARG]...", "a local program whose ssh leads there", keptJobs, parseWith},
		{"probe", "HOP...", "how a copy would be started there, and what else a host lacks", "", parseProbe},
		{"version", "", "print the version", "", parseVersion},
		{"help", "[COMMAND]", "tell about the commands, or one of them", "", parseHelp},
	}
}

const hopText = `
A hop is ssh:[USER@]HOST[:PORT], openssh:[USER@]HOST[:PORT], sudo[:USER], su[:USER],
doas[:USER], docker:CONTAINER (and so podman, buildah, lxc, lxd, incus, jail and
machinectl), kubectl:POD[:CONTAINER][@NAMESPACE], nsenter:PID, unshare, local, or
console:[USER@]DEVICE[:BAUD], a login on a serial line; a path of hops is written
ssh:web1/sudo, or as several arguments where HOP... is written. ssh:jump,web1 passes
through jump as ssh -J does, with the keys and known_hosts of here; ssh:jump/ssh:web1
runs on jump and goes on with those of there. In the environment,
MITOSIS_LOG=debug shows what happens on the way, and MITOSIS_CACHE=yes keeps the
program at the hosts for the next time.
`

const (
	taskOptions = `  -C DIR         the working directory
  -e NAME=VALUE  a variable of the environment; may be given several times
  -s FILE        the environment that a file of shell commands makes
  --keep-jobs    let live on what the program leaves running; else it ends with it
`
	keptJobs = `  --keep-jobs=false  end with the connection what commands leave running there

As with ssh, what a command leaves running when it ends by itself lives on: nohup,
setsid, a server of tmux, a daemon. What still runs when its ssh ends is killed.
`
	runOptions = `  -l             the environment that the user has after login
  -t             a terminal
`
	copyOptionTexts = `  -mode MODE  the permissions of a single file, in octal
  -perm       give files that exist the permissions of the source, too
  -times      keep the times of modification
  -owner      keep the numeric owners and groups, and set-user-ID and the like
  -noreplace  fail where the target file exists
  -replace    replace a file as a whole, or fail
  -inplace    write into the file that exists, which so keeps its other names
  -nospecial  fail where the target is a device or a named pipe
  -resume     keep what came of a large file when the copy is interrupted, and
              go on from there
  -sync       wait until the disk has it
  -json       tell of each copy as a JSON object on a line
`
	intoTexts = `
A target that ends in a slash, or is . or .. or a home directory, is a directory in
which the copy gets the name of its source, and so is the target of several sources.
Otherwise it is the copy's own name. What is in a directory and not in its source
stays there. "get" makes the directories that its target is in.

A name at the other host may begin with ~ or ~USER, and have *, ? and [a-z] as in a
shell; \ in front takes their meaning from them. The host resolves it, so quote it
here. A pattern that nothing matches is an error, and one for a target must match
one file.

A file that exists is replaced at one moment, by one with its permissions, owner,
group, access control list and attributes; a new file gets the permissions of the
source. Where a file can't be replaced, or would lose its owner by that, it is
written in place, and standard error says so: a failure may then leave it
incomplete. A device or a named pipe is written into. A symbolic link to a file is
replaced.
`
	forwardOptions = `  -L [BIND:]PORT:HOST:PORT  listen here, connect from there
  -R [BIND:]PORT:HOST:PORT  listen there, connect from here
  -D [BIND:]PORT            listen here as a SOCKS server, connect from there
  -R [BIND:]PORT            listen there as a SOCKS server, connect from here
  -mode MODE                the permissions of sockets in the file system, in
                            octal; else 600
  -unlink                   remove a socket that stands in the way

-L, -R and -D may be given several times. A socket in the file system, as an
absolute path, may stand in place of [BIND:]PORT and of HOST:PORT. BIND is localhost
unless given, which is 127.0.0.1 and ::1; * is all addresses. An IPv6 address is
written in brackets. PORT 0 is one that is free. SOCKS is 4, 4a and 5.
`
	socksText = `
Names are resolved there. BIND is localhost unless given, PORT 1080.
`
)

// overview returns the help of the program.
func overview() string {
	var b strings.Builder
	b.WriteString("usage:\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  mitosis %-51s %s\n", strings.TrimSpace(c.name+" "+c.operands), c.summary)
	}
	b.WriteString(hopText)
	b.WriteString("\n\"mitosis help COMMAND\" lists the options of a command.\n")
	return b.String()
}

// text returns the help of a command.
func (c *command) text() string {
	s := fmt.Sprintf("usage: mitosis %s\n\n%s\n", strings.TrimSpace(c.name+" "+c.operands), c.summary)
	if c.options != "" {
		s += "\n" + strings.TrimPrefix(c.options, "\n")
	}
	if strings.Contains(c.operands, "HOP") {
		s += hopText
	}
	return s
}

// findCommand returns nil if there is no command of that name.
func findCommand(name string) *command {
	all := commands()
	if i := slices.IndexFunc(all, func(c command) bool { return c.name == name }); i >= 0 {
		return &all[i]
	}
	return nil
}

func unknownCommand(name string) error {
	return fmt.Errorf("there is no command %q: see mitosis help", name)
}

// parseHelp reads the arguments of "help".
func parseHelp(args []string) (job, error) {
	names, err := operands(newFlags(), args, 0, 1)
	if err != nil {
		return nil, err
	}
	text := overview()
	if len(names) == 1 {
		c := findCommand(names[0])
		if c == nil {
			return nil, unknownCommand(names[0])
		}
		text = c.text()
	}
	return func(out, _ io.Writer) int {
		fmt.Fprint(out, text)
		return 0
	}, nil
}
