package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// verb is a command of the program.
type verb struct {
	use     string // the name, and how the rest of the command line is written
	summary string
	text    string // behind the options in the help
	// declare declares the options and returns a function that reads the command line, once
	// they have their values.
	declare func(s *sections) parser
	// whole: the options end at the first operand; the rest is for another program.
	whole bool
	// unset: the settings are not read, so a fault in them does no harm.
	unset bool
}

// A parser makes the job of a command line.
type parser func(words) (job, error)

// words are the operands of a command line. behind has those after "--", and is nil if there is
// none.
type words struct{ operands, behind []string }

// all returns the operands of a command in which "--" only ends the options.
func (w words) all() []string {
	return append(w.operands[:len(w.operands):len(w.operands)], w.behind...)
}

// sections are the options of a command, as its help shows them.
type sections struct {
	title []string
	flags []*pflag.FlagSet

	hosts   *hostOptions    // nil: the command has no host
	several *severalOptions // nil: it has no more than one
	text    string          // behind the options in the help, in place of the command's
}

// add begins a section.
func (s *sections) add(title string) *pflag.FlagSet {
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.SortFlags = false
	s.title, s.flags = append(s.title, title), append(s.flags, f)
	return f
}

// usageError is an error of the command line, with the command whose usage is to be shown.
type usageError struct {
	command *cobra.Command
	err     error
}

// Error implements error.
func (e *usageError) Error() string {
	if !e.command.HasParent() {
		return e.err.Error()
	}
	return e.command.Name() + ": " + e.err.Error()
}

// Unwrap returns the error without the command.
func (e *usageError) Unwrap() error { return e.err }

// verbs returns the commands in the order of the overview.
func verbs() []verb {
	return []verb{
		{use: "run [OPTION]... HOST... -- PROGRAM [ARGUMENT]...", summary: "run a program there", text: severalText, declare: declareRun},
		{use: "shell [OPTION]... HOST...", summary: "a login shell there, or a line for many hosts", text: shellText, declare: declareShell},
		{use: "put [OPTION]... HOST LOCAL... REMOTE", summary: "copy files and directories to there", text: intoText, declare: declarePut},
		{use: "get [OPTION]... HOST REMOTE... LOCAL", summary: "copy files and directories from there", text: intoText, declare: declareGet},
		{use: "forward [OPTION]... HOST (-L|-R|-D) FORWARDING...", summary: "forward connections", text: forwardText, declare: declareForward},
		{use: "socks [OPTION]... HOST [[BIND:]PORT]", summary: "a SOCKS server here that connects from there", text: socksText, declare: declareSocks},
		{use: "ssh [OPTION]... HOST [OPTION OF SSH]... [COMMAND]", summary: "ssh to there", text: keptJobsText, declare: declareSSH, whole: true},
		{use: "with [OPTION]... [NAME=]HOST... -- PROGRAM [ARG]...", summary: "a local program whose ssh leads there", text: keptJobsText, declare: declareWith},
		{use: "probe [OPTION]... HOST...", summary: "how a copy would be started there, and what else a host lacks", declare: declareProbe},
		{use: "config [OPTION]... [show]", summary: "print the settings that are in force, and where they were made", declare: declareConfig, unset: true},
		{use: "broker [OPTION]... start|status|list|reset HOST|stop|serve", summary: "a process that keeps connections for others", text: brokerText, declare: declareBroker},
		{use: "version [OPTION]...", summary: "print the version", declare: declareVersion, unset: true},
	}
}

// program is the command line as a library's tree of commands.
type program struct {
	root   *cobra.Command
	of     map[string]*declared // by name
	args   []string             // behind the command's name
	status int
	errOut io.Writer
}

// declared is a command with its options.
type declared struct {
	verb
	command *cobra.Command

	// Set by ready.
	sections sections
	parse    parser
}

// ready declares the options of a command. That takes time, which other commands need not spend.
func (d *declared) ready() {
	if d.parse != nil {
		return
	}
	d.parse = d.declare(&d.sections)
	for _, f := range d.sections.flags {
		d.command.Flags().AddFlagSet(f)
	}
	if d.sections.text != "" {
		d.command.Long = d.sections.text
	}
}

func newProgram(out, errOut io.Writer) *program {
	p := &program{of: make(map[string]*declared), errOut: errOut}
	p.root = &cobra.Command{
		Use: "mitosis", SilenceErrors: true, SilenceUsage: true, Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{c, unknownCommand(c, args[0])}
			}
			if asked, _ := c.Flags().GetBool("version"); asked {
				return printVersion(out)
			}
			fmt.Fprint(errOut, p.overview())
			p.status = exitUsage
			return nil
		},
	}
	cobra.EnableCommandSorting = false
	cobra.MousetrapHelpText = "" // a click on the program shows the overview, as anywhere else
	verbosity = 0
	p.root.Flags().BoolP("version", "V", false, "print the version")
	p.root.SetOut(out)
	p.root.SetErr(errOut)
	p.root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return &usageError{c, err} })
	p.root.SetHelpFunc(func(c *cobra.Command, _ []string) { fmt.Fprint(out, p.help(c)) })
	for _, v := range verbs() {
		p.add(v)
	}
	p.root.SetHelpCommand(p.helpCommand())
	return p
}

// add adds a command.
func (p *program) add(v verb) {
	c := &cobra.Command{Use: v.use, Short: v.summary, Long: v.text, Args: cobra.ArbitraryArgs, DisableFlagsInUseLine: true}
	d := &declared{verb: v, command: c}
	c.Flags().SetInterspersed(!v.whole)
	c.RunE = func(c *cobra.Command, args []string) error {
		w := words{operands: args}
		if n := c.ArgsLenAtDash(); n >= 0 {
			w = words{args[:n], args[n:]}
		}
		if !d.unset {
			if err := loadSettings(); err != nil {
				return err
			}
		}
		do, err := p.read(d, d.parse, w)
		if err != nil {
			return &usageError{c, err}
		}
		p.status = do(p.root.OutOrStdout(), p.errOut)
		return nil
	}
	p.of[c.Name()] = d
	p.root.AddCommand(c)
}

// read makes the job of a command line, or of the one that it names by --retry-failed.
func (p *program) read(d *declared, parse parser, w words) (job, error) {
	o := d.sections.several
	if o == nil {
		return parse(w)
	}
	if o.retryFailed == "" {
		o.asked = &asked{Command: d.command.Name(), Args: p.args}
		return parse(w)
	}
	if len(w.all()) > 0 || len(d.sections.hosts.sets) > 0 {
		return nil, errors.New("--retry-failed has its hosts and its operands from that run")
	}
	a, err := readRecord(d.command.Name(), o.retryFailed)
	if err != nil {
		return nil, err
	}
	var s sections
	parse = d.declare(&s)
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, f := range s.flags {
		flags.AddFlagSet(f)
	}
	if err := flags.Parse(a.Args); err != nil {
		return nil, fmt.Errorf("the record of %s: %w", o.retryFailed, err)
	}
	d.command.Flags().Visit(func(f *pflag.Flag) {
		if list, ok := f.Value.(pflag.SliceValue); ok {
			err = errors.Join(err, flags.Lookup(f.Name).Value.(pflag.SliceValue).Replace(list.GetSlice()))
		} else {
			err = errors.Join(err, flags.Set(f.Name, f.Value.String()))
		}
	})
	if err != nil {
		return nil, err
	}
	s.hosts.recorded, s.several.asked = a.Hosts, a
	w = words{operands: flags.Args()}
	if n := flags.ArgsLenAtDash(); n >= 0 {
		w = words{flags.Args()[:n], flags.Args()[n:]}
	}
	return parse(w)
}

func (p *program) helpCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use: "help [COMMAND]", Short: "tell about the commands, or one of them", Args: cobra.ArbitraryArgs, DisableFlagsInUseLine: true,
		ValidArgsFunction: func(_ *cobra.Command, before []string, word string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if len(before) == 0 {
				for _, v := range verbs() {
					name, _, _ := strings.Cut(v.use, " ")
					names = append(names, name+"\t"+v.summary)
				}
			}
			return beginning(word, names), noFiles
		},
		RunE: func(c *cobra.Command, args []string) error {
			topic := p.root
			if len(args) > 1 {
				return &usageError{c, tooMany(args[1])}
			}
			if len(args) == 1 {
				if topic, _, _ = p.root.Find(args); topic == nil || topic == p.root {
					return &usageError{c, unknownCommand(p.root, args[0])}
				}
			}
			if asJSON {
				return p.describeJSON(c.OutOrStdout(), topic)
			}
			return topic.Help()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "the commands with their options as one JSON object")
	return c
}

// prepare makes ready what a command line needs, and returns it as the library reads it.
func (p *program) prepare(args []string) []string {
	if len(args) > 0 {
		if v := p.of[args[0]]; v != nil {
			v.ready()
			p.root.CompletionOptions.DisableDefaultCmd = true
			options, rest := twoDashes(v.command.Flags(), args[1:], v.whole)
			p.args = append(options, rest...)
			return append([]string{args[0]}, p.args...)
		}
	}
	for _, v := range p.of {
		v.ready()
	}
	p.root.SetOut(completionScript{p.root.OutOrStdout()})
	p.root.InitDefaultCompletionCmd()
	if c, _, err := p.root.Find([]string{"completion"}); err == nil {
		c.DisableFlagsInUseLine = true
		c.Use, c.Short = "completion bash|zsh|fish|powershell", "print a script by which a shell completes command lines"
		c.Args, c.RunE = cobra.ArbitraryArgs, func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{c, fmt.Errorf("there is no script for %q", args[0])}
			}
			return c.Help()
		}
	}
	if len(args) > 2 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		return p.completing(args)
	}
	return args
}

// run runs a command line and returns the exit status.
func (p *program) run(args []string) int {
	args = p.prepare(args)
	p.root.SetArgs(args)
	err := p.root.Execute()
	if err == nil {
		return p.status
	}
	if faults, ok := errors.AsType[*settingsError](err); ok {
		return faults.complain(p.errOut)
	}
	e, ok := errors.AsType[*usageError](err)
	if !ok { // of the library's own commands
		e = &usageError{p.root, err}
	}
	_ = complain(p.errOut, e, exitUsage)
	if e.command.HasParent() {
		fmt.Fprintf(p.errOut, "usage: mitosis %s\n\"mitosis help %s\" tells more.\n", e.command.Use, e.command.Name())
	} else {
		fmt.Fprint(p.errOut, "usage: mitosis COMMAND ...\n\"mitosis help\" lists the commands.\n")
	}
	return exitUsage
}

// unknownCommand is the error for a name, with the commands that may have been meant.
func unknownCommand(root *cobra.Command, name string) error {
	err := fmt.Errorf("there is no command %q", name)
	root.SuggestionsMinimumDistance = 2
	if like := root.SuggestionsFor(name); len(like) > 0 {
		err = fmt.Errorf("%w: is it %s?", err, strings.Join(like, " or "))
	}
	return err
}

func tooMany(word string) error { return fmt.Errorf("there is an operand too many: %q", word) }

// twoDashes writes long names with two dashes that have one, as they had before there was a
// library: -json is --json. So a long name counts more than the letters in it. rest begins with
// "--", or, with whole, at the first operand.
func twoDashes(flags *pflag.FlagSet, args []string, whole bool) (options, rest []string) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" || whole && (len(arg) < 2 || arg[0] != '-') {
			return options, args[i:]
		}
		if len(arg) < 2 || arg[0] != '-' {
			options = append(options, arg)
			continue
		}
		name, _, hasValue := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
		f := flags.Lookup(name)
		switch {
		case arg[1] == '-':
		case f != nil && len(name) > 1:
			arg = "-" + arg
		default:
			f, hasValue = lastLetter(flags, arg[1:])
		}
		options = append(options, arg)
		if f != nil && f.NoOptDefVal == "" && !hasValue && i+1 < len(args) { // its value may look like an option
			i++
			options = append(options, args[i])
		}
	}
	return options, nil
}

// lastLetter returns the first option of several letters that takes a value, and whether the
// value stands behind it in the same word.
func lastLetter(flags *pflag.FlagSet, letters string) (f *pflag.Flag, hasValue bool) {
	for i := range letters {
		if f = flags.ShorthandLookup(letters[i : i+1]); f == nil || f.NoOptDefVal == "" {
			return f, i+1 < len(letters)
		}
	}
	return nil, false
}
