package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The help as JSON is for programs that show it in another form: integration/manual makes the pages
// of the manual of it.

// shownHelp describes the command line, as docs/schema/help.json says.
type shownHelp struct {
	Version  string         `json:"version"`
	Text     string         `json:"text"` // about hosts
	Commands []shownCommand `json:"commands"`
}

type shownCommand struct {
	Name     string         `json:"name"`
	Usage    string         `json:"usage"` // behind "mitosis"
	Summary  string         `json:"summary"`
	Sections []shownSection `json:"sections"`
	Text     string         `json:"text"` // paragraphs with empty lines between
}

type shownSection struct {
	Title   string        `json:"title"`
	Options []shownOption `json:"options"`
}

type shownOption struct {
	Name    string `json:"name"`             // without the dashes
	Letter  string `json:"letter,omitempty"` // likewise
	Value   string `json:"value,omitempty"`  // empty: it takes none
	Default string `json:"default,omitempty"`
	Text    string `json:"text"`
}

// describe describes the given commands.
func describe(p *program, commands []*cobra.Command) shownHelp {
	shown := shownHelp{Version: version(), Text: strings.Trim(hopText, "\n")}
	for _, c := range commands {
		text := c.Long
		if takesHosts(c) {
			text += hopText
		}
		one := shownCommand{c.Name(), c.Use, c.Short, []shownSection{}, strings.Trim(text, "\n")}
		if d := p.of[c.Name()]; d != nil {
			for i, f := range d.sections.flags {
				one.Sections = append(one.Sections, shownSection{d.sections.title[i], describeOptions(f)})
			}
		} else if c.Name() == "help" {
			one.Sections = append(one.Sections, shownSection{"Options", describeOptions(c.LocalFlags())})
		}
		shown.Commands = append(shown.Commands, one)
	}
	return shown
}

func describeOptions(flags *pflag.FlagSet) []shownOption {
	all := []shownOption{}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" { // of the library; every command has it
			return
		}
		o := shownOption{Name: f.Name, Letter: f.Shorthand, Text: f.Usage}
		if f.NoOptDefVal == "" {
			o.Value, o.Text = pflag.UnquoteUsage(f)
			o.Text = strings.TrimPrefix(strings.TrimPrefix(o.Text, o.Value), ": ")
		}
		if f.Value.Type() == "bool" && f.DefValue == "true" {
			o.Default = "true"
		}
		all = append(all, o)
	})
	return all
}

// describeJSON prints the help of commands as JSON.
func (p *program) describeJSON(out io.Writer, topic *cobra.Command) error {
	if topic != p.root {
		return printJSON(out, describe(p, []*cobra.Command{topic}))
	}
	return printJSON(out, describe(p, p.shownCommands()))
}
