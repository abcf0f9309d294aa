package main

import (
	"fmt"
	"regexp"
	"strings"
)

// help is what the program tells about itself: docs/schema/help.json.
type help struct {
	Version  string
	Text     string
	Commands []command
}

type command struct {
	Name, Usage, Summary, Text string

	Sections []struct {
		Title   string
		Options []option
	}
}

type option struct{ Name, Letter, Value, Default, Text string }

// page is a page of the manual, in the Markdown that the library renders.
type page struct {
	name    string
	section int
	text    string
}

// newPage begins a page.
func newPage(version, name string, section int, summary string) *page {
	p := &page{name: name, section: section}
	p.add("%% \"%s\" \"%d\" \"\" \"mitosis %s\" \"mitosis\"\n", strings.ToUpper(name), section, version)
	p.add("# NAME\n\n%s - %s\n\n", name, escaped(summary))
	return p
}

func (p *page) add(format string, args ...any) { p.text += fmt.Sprintf(format, args...) }

// pages returns the page of the program and those of its commands.
func (h *help) pages() []*page {
	root := newPage(h.Version, "mitosis", 1, "work on hosts on which nothing is installed, over any number of hops")
	root.add("# SYNOPSIS\n\n")
	for _, c := range h.Commands {
		root.add("%s  \n", usage(c.Usage)) // two blanks break the line
	}
	root.add("\n# DESCRIPTION\n\n%s# COMMANDS\n\n", paragraphs(h.Text))
	also := []string{"**mitosis-cli**(7)"}
	all := []*page{root}
	for _, c := range h.Commands {
		root.add("**mitosis-%s**(1)\n:   %s\n\n", c.Name, escaped(c.Summary))
		also = append(also, fmt.Sprintf("**mitosis-%s**(1)", c.Name))
		all = append(all, c.page(h.Version))
	}
	root.add("# SEE ALSO\n\n%s\n", strings.Join(also, ", "))
	return all
}

func (c *command) page(version string) *page {
	p := newPage(version, "mitosis-"+c.Name, 1, c.Summary)
	p.add("# SYNOPSIS\n\n%s\n\n", usage(c.Usage))
	if c.Text != "" {
		p.add("# DESCRIPTION\n\n%s", paragraphs(c.Text))
	}
	for _, s := range c.Sections {
		title := strings.ToUpper(s.Title)
		if title != "OPTIONS" {
			title = "OPTIONS: " + title
		}
		p.add("# %s\n\n", title)
		for _, o := range s.Options {
			names := "**--" + escaped(o.Name) + "**"
			if o.Letter != "" {
				names = "**-" + escaped(o.Letter) + "**, " + names
			}
			if o.Value != "" {
				names += " *" + escaped(o.Value) + "*"
			}
			if o.Default != "" {
				o.Text += " (default " + o.Default + ")"
			}
			p.add("%s\n:   %s\n\n", names, escaped(o.Text))
		}
	}
	p.add("# SEE ALSO\n\n**mitosis**(1), **mitosis-cli**(7)\n")
	return p
}

// usage returns a line of the synopsis, with the command bold.
func usage(line string) string {
	name, rest, _ := strings.Cut(line, " ")
	return fmt.Sprintf("**mitosis %s** %s", name, escaped(rest))
}

// paragraphs returns lines for people as Markdown. Lines that are indented stay as they are.
func paragraphs(text string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		if strings.HasPrefix(part, " ") {
			fmt.Fprintf(&b, "```\n%s\n```\n\n", part)
		} else {
			fmt.Fprintf(&b, "%s\n\n", escaped(part))
		}
	}
	return b.String()
}

var special = regexp.MustCompile("[\\\\`*_{}\\[\\]()#+.!|<>~&-]")

// escaped returns a text in which no character has a meaning in Markdown.
func escaped(text string) string { return special.ReplaceAllString(text, `\$0`) }

var (
	headings = regexp.MustCompile(`(?m)^##+ (.*)$`)
	links    = regexp.MustCompile(`\[([^\]]+)\]\([^)]+\)`)
)

// cliPage makes a page of docs/cli.md: its sections are those of the page, links are their texts, and
// tables, which would be wider than a terminal, are lists.
func cliPage(version, text string) *page {
	p := newPage(version, "mitosis-cli", 7, "settings and environment of the command line")
	_, body, _ := strings.Cut(text, "\n")
	body = headings.ReplaceAllStringFunc(body, func(h string) string { return strings.ToUpper(h[1:]) })
	p.add("# DESCRIPTION\n\n%s\n\n# SEE ALSO\n\n**mitosis**(1), **ssh_config**(5)\n", strings.TrimSpace(lists(links.ReplaceAllString(body, "$1"))))
	return p
}

// lists makes lists of the tables of a text: the first cell of a row is the term, and the last is
// said first of it.
func lists(text string) string {
	var b strings.Builder
	var header []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			header = nil
			b.WriteString(line)
			continue
		}
		cells := cellsOf(line)
		last := len(cells) - 1
		switch {
		case header == nil:
			header = cells
		case !strings.HasPrefix(line, "|---"):
			fmt.Fprintf(&b, "%s\n:   %s", cells[0], cells[last])
			for i := 1; i < last; i++ {
				if cells[i] != "-" {
					fmt.Fprintf(&b, "; %s: %s", header[i], cells[i])
				}
			}
			b.WriteString("\n\n")
		}
	}
	return b.String()
}

// cellsOf returns the cells of a row. A bar within a cell has a backslash.
func cellsOf(row string) []string {
	const bar = "\x00"
	cells := strings.Split(strings.Trim(strings.ReplaceAll(strings.TrimSpace(row), `\|`, bar), "|"), "|")
	for i, cell := range cells {
		cells[i] = strings.ReplaceAll(strings.TrimSpace(cell), bar, "|")
	}
	return cells
}
