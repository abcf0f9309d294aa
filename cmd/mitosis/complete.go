package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mitosis-go/mitosis/cmd/internal/settings"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts/fleet/inventory"
)

// A shell asks for completions by the hidden command __complete of the library, whose last word is
// the one that is typed. Nothing is connected for it. A fault in the settings or in the inventory
// is passed over: the command itself will tell of it.

// completing has the operands and the values of options of a command completed.
func (p *program) completing(args []string) []string {
	d, typed := p.of[args[1]], len(args)-1
	if d == nil {
		return args
	}
	inForce, _ = settings.Load()
	options, rest := twoDashes(d.command.Flags(), args[2:typed], d.whole)
	behind := len(rest) > 0 && rest[0] == "--"
	d.command.ValidArgsFunction = func(c *cobra.Command, operands []string, word string) ([]string, cobra.ShellCompDirective) {
		found, how := d.operand(operands, word, behind)
		return beginning(word, found), how
	}
	d.command.Flags().VisitAll(func(f *pflag.Flag) {
		_ = d.command.RegisterFlagCompletionFunc(f.Name, func(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
			found, how := d.value(f.Name, word)
			return beginning(word, found), how
		})
	})
	return slices.Concat(args[:2], options, rest, args[typed:])
}

// What a shell does with words: it adds no space behind those of hosts, since more hops may follow.
const (
	noFiles   = cobra.ShellCompDirectiveNoFileComp
	moreHops  = cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	fileNames = cobra.ShellCompDirectiveDefault
)

// operand completes an operand, or a word behind "--".
func (d *declared) operand(before []string, word string, behind bool) ([]string, cobra.ShellCompDirective) {
	o, name := d.sections.hosts, d.command.Name()
	first := len(before) == 0 && !(o != nil && o.many())
	switch {
	case behind && name == "with":
		return nil, fileNames // a program of this host
	case name == "config" && len(before) == 0:
		return []string{"show"}, noFiles
	case behind || o == nil:
		return nil, noFiles
	case name == "with":
		if named, path, ok := strings.Cut(word, "="); ok {
			return prefixed(named+"=", o.completeHost(path)), moreHops
		}
		return o.completeHost(word), moreHops
	case first, name == "run", name == "shell", name == "probe":
		return o.completeHost(word), moreHops
	case name == "put", name == "get" && len(before) > 1:
		return nil, fileNames // of get the last one is a name here
	}
	return nil, noFiles
}

// value completes the value of an option.
func (d *declared) value(option, word string) ([]string, cobra.ShellCompDirective) {
	switch option {
	case "hosts", "exclude":
		return d.sections.hosts.completeSet(word), moreHops
	case "retry-failed":
		return records(d.command.Name()), noFiles
	case "identity", "ssh-config", "inventory", "password-from":
		return nil, fileNames
	}
	return nil, noFiles
}

// knownHosts returns the hosts of the inventory and those that ssh_config names.
func (o *hostOptions) knownHosts() []string {
	d := o.completionDirectory()
	hosts := d.all.Names()
	if file := o.settings().ConfigFile; file != "" {
		hosts = append(hosts, hostsOfSSH([]string{file}, userSSH, mostIncluded)...)
	} else {
		hosts = append(hosts, hostsOfSSH([]string{"config"}, userSSH, mostIncluded)...)
		hosts = append(hosts, hostsOfSSH([]string{"ssh_config"}, "/etc/ssh", mostIncluded)...)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// completionDirectory reads the inventory, if that does not take long.
func (o *hostOptions) completionDirectory() *directory {
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Second)
	defer stop()
	sources := o.sources
	if len(sources) == 0 {
		sources = inForce.Inventory
	}
	if slices.Contains(sources, "-") { // standard input is the person who types
		return new(directory)
	}
	inv, err := inventory.Load(ctx, sources...)
	if err != nil {
		return new(directory)
	}
	return &directory{inv, inv.Hosts()}
}

// userSSH is where names in the user's ssh_config count from, and mostIncluded how deep files may
// include others, as in ssh.
const (
	userSSH      = "~/.ssh"
	mostIncluded = 16
)

// hostsOfSSH returns the hosts of files in the form of ssh_config, and of those that they include.
func hostsOfSSH(patterns []string, dir string, depth int) (hosts []string) {
	home, _ := os.UserHomeDir()
	for _, pattern := range patterns {
		if !filepath.IsAbs(pattern) && !strings.HasPrefix(pattern, "~/") {
			pattern = dir + "/" + pattern
		}
		if rest, ok := strings.CutPrefix(pattern, "~/"); ok {
			pattern = filepath.Join(home, rest)
		}
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			info, err := os.Stat(file)
			if err != nil || !info.Mode().IsRegular() {
				continue
			}
			text, _ := os.ReadFile(file)
			own, includes, _ := inventory.OfSSHConfig(text)
			hosts = append(hosts, own...)
			if depth > 0 {
				hosts = append(hosts, hostsOfSSH(includes, dir, depth-1)...)
			}
		}
	}
	return hosts
}

// completeHost completes a hop path: the name or the target of its last hop, or an option of it.
func (o *hostOptions) completeHost(path string) []string {
	before, hop := cutLast(path, "/")
	if body, options, ok := strings.Cut(hop, "?"); ok {
		given, _ := cutLast(options, "&")
		return prefixed(before+body+"?"+given, optionsOf(body))
	}
	name, target, hasTarget := strings.Cut(hop, ":")
	if hasTarget && name != "ssh" && name != "openssh" {
		return nil
	}
	if hasTarget {
		jumps, last := cutLast(target, ",")
		user, _ := cutLast(last, "@")
		return prefixed(before+name+":"+jumps+user, o.knownHosts())
	}
	if user, _ := cutLast(hop, "@"); user != "" {
		return prefixed(before+user, o.knownHosts())
	}
	var found []string
	for _, word := range connect.WordNames() {
		if _, err := connect.ParsePath(word); err != nil {
			word += ":" // it needs a target
		}
		found = append(found, word)
	}
	return prefixed(before, append(o.knownHosts(), found...))
}

// optionsOf returns the options of a hop, those of ssh_config aside.
func optionsOf(hop string) []string {
	hops, err := connect.ParsePath(hop)
	if err != nil || len(hops) != 1 {
		return nil
	}
	m, ok := hops[0].(connect.WordMethod)
	if !ok {
		return nil
	}
	return slices.DeleteFunc(connect.OptionsOf(m), func(name string) bool { return strings.ToLower(name) != name })
}

// completeSet completes the last operand of a host set.
func (o *hostOptions) completeSet(set string) []string {
	before, last := cutLast(set, ",!&^")
	group, isGroup := strings.CutPrefix(last, "@")
	if !isGroup {
		return prefixed(before, o.knownHosts())
	}
	d := o.completionDirectory()
	if d.inv == nil || strings.Contains(group, "[") {
		return nil
	}
	return prefixed(before+"@", append(d.inv.Groups(), "*"))
}

// cutLast cuts a text behind the last of some characters that is not within brackets.
func cutLast(text, of string) (before, last string) {
	at, inside := 0, false
	for i, c := range text {
		switch {
		case c == '[' || c == ']':
			inside = c == '['
		case !inside && strings.ContainsRune(of, c):
			at = i + 1
		}
	}
	return text[:at], text[at:]
}

// beginning returns the words that begin with a text.
func beginning(with string, words []string) []string {
	return slices.DeleteFunc(words, func(word string) bool { return !strings.HasPrefix(word, with) })
}

// prefixed returns words with a text in front of each.
func prefixed(with string, words []string) []string {
	all := make([]string, len(words))
	for i, word := range words {
		all[i] = with + word
	}
	return all
}

// records returns the runs of a command that can be tried again, the newest first.
func records(command string) []string {
	dir, err := runsDir()
	if err != nil {
		return nil
	}
	entries, _ := os.ReadDir(dir) // sorted by name, which is by time
	var names []string
	for _, e := range slices.Backward(entries) {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		if a, err := readRecord(command, name); err == nil {
			names = append(names, name+"\t"+quotedArgs(a.Args))
		}
	}
	return names
}

// completionScript writes the scripts of the library so that hosts are completed.
//
// Bash ends words at colons, equals signs and at signs, and the library has a remedy for the first
// two only. It also puts a backslash in front of commas, which bash does not need: the completion
// would no longer begin with what was typed. In fish a completion that begins with two dashes, as
// --hosts=web1, was read as an option of a command of fish.
type completionScript struct{ io.Writer }

// Write implements io.Writer. The library writes a script at once.
func (s completionScript) Write(b []byte) (int, error) {
	const atColon, atEqual = "    __mitosis_handle_special_char \"$cur\" :\n", "    __mitosis_handle_special_char \"$cur\" =\n"
	const atAt = "    __mitosis_handle_special_char \"$cur\" @\n"
	var changes *strings.Replacer
	switch {
	case bytes.HasPrefix(b, []byte("# bash completion V2")):
		changes = strings.NewReplacer(
			" -n =: ", " -n =:@ ",
			atColon, "    COMPREPLY=(\"${COMPREPLY[@]//\\\\,/,}\")\n"+atColon,
			atEqual, atEqual+atAt,
		)
	case bytes.HasPrefix(b, []byte("# fish completion for")):
		changes = strings.NewReplacer(`string split --max 1 \t`, `string split --max 1 -- \t`)
	default:
		return s.Writer.Write(b)
	}
	_, err := changes.WriteString(s.Writer, string(b))
	return len(b), err
}
