package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const hopText = `
A HOST is one word: a path of hops with slashes between them. A hop is
ssh:[USER@]HOST[:PORT], openssh:[USER@]HOST[:PORT], sudo[:USER], su[:USER],
doas[:USER], docker:CONTAINER (and so podman, buildah, lxc, lxd, incus, jail and
machinectl), kubectl:POD[:CONTAINER][@NAMESPACE], nsenter:PID, unshare, local, or
console:[USER@]DEVICE[:BAUD], a login on a serial line. web1 is ssh:web1, and
ssh:web1/sudo goes on as root there. ssh:jump,web1 passes through jump as ssh -J does,
with the keys and known_hosts of here; ssh:jump/ssh:web1 runs on jump and goes on with
those of there. -v shows what happens on the way. What is always the same, such as the
user or a key, can be set once: see mitosis help config.
`

const (
	severalText = `
Several words, or -w HOSTSET, are several hosts. Each line of their output has the name
of its host in front, and the exit status is the highest of all: see mitosis help run.
`
	shellText = `
With several hosts each line that is typed is run by a shell on all of them.
`
	keptJobsText = `
As with ssh, what a command leaves running when it ends by itself lives on: nohup,
setsid, a server of tmux, a daemon. What still runs when its ssh ends is killed.
`
	intoText = `
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
	forwardText = `
-L, -R and -D may be given several times. A socket in the file system, as an
absolute path, may stand in place of [BIND:]PORT and of HOST:PORT. BIND is localhost
unless given, which is 127.0.0.1 and ::1; * is all addresses. An IPv6 address is
written in brackets. PORT 0 is one that is free. SOCKS is 4, 4a and 5.
`
	socksText = `
Names are resolved there. BIND is localhost unless given, PORT 1080.
`
)

// lineWidth is how long a line of help is at most.
const lineWidth = 88

// overview returns the help of the program.
func (p *program) overview() string {
	var b strings.Builder
	b.WriteString("usage:\n")
	for _, c := range p.shownCommands() {
		fmt.Fprintf(&b, "  mitosis %-51s %s\n", c.Use, c.Short)
	}
	b.WriteString(hopText)
	b.WriteString("\n\"mitosis help COMMAND\" lists the options of a command.\n")
	return b.String()
}

// shownCommands returns the commands that people use.
func (p *program) shownCommands() []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(p.root.Commands()), func(c *cobra.Command) bool { return !c.IsAvailableCommand() && c.Name() != "help" })
}

// takesHosts reports whether a command has hosts, so that its help tells how they are written.
func takesHosts(c *cobra.Command) bool { return strings.Contains(c.Use, "HOST") }

// help returns the help of a command.
func (p *program) help(c *cobra.Command) string {
	d := p.of[c.Name()]
	switch {
	case !c.HasParent():
		return p.overview()
	case d == nil || c.Parent() != p.root: // one of the library's
		text := "usage: " + c.UseLine() + "\n\n" + c.Short + "\n"
		if c.HasAvailableLocalFlags() {
			text += "\nOptions:\n" + usages(c.LocalFlags())
		}
		return text + strings.TrimRight("\n"+c.Long, "\n") + "\n"
	}
	d.ready()
	var b strings.Builder
	fmt.Fprintf(&b, "usage: mitosis %s\n\n%s\n", c.Use, c.Short)
	for i, f := range d.sections.flags {
		fmt.Fprintf(&b, "\n%s:\n%s", d.sections.title[i], usages(f))
	}
	b.WriteString(c.Long)
	if takesHosts(c) {
		b.WriteString(hopText)
	}
	return b.String()
}

// usages returns the lines of options. In the text of each its value has the name in front.
func usages(flags *pflag.FlagSet) string {
	shown := pflag.NewFlagSet("", pflag.ContinueOnError)
	shown.SortFlags = false
	flags.VisitAll(func(f *pflag.Flag) {
		of := *f
		if f.Value.Type() == "count" {
			of.Value, of.NoOptDefVal, of.DefValue = named{f.Value, "bool"}, "true", "false" // shown without a value
		}
		if name, usage := pflag.UnquoteUsage(f); strings.Contains(f.Usage, "`") {
			of.Usage, of.Value, of.DefValue = strings.TrimPrefix(usage, name+": "), named{f.Value, name}, ""
		}
		shown.AddFlag(&of)
	})
	return shown.FlagUsagesWrapped(lineWidth)
}

// named is the value of an option that the help calls something else.
type named struct {
	pflag.Value
	name string
}

// Type implements pflag.Value.
func (n named) Type() string { return n.name }
