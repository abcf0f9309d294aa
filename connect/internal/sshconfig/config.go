// Package sshconfig finds the settings of ssh_config(5) for a host. It reads the files
// (config.go), and asks `ssh -G` if they have settings that count (query.go).
package sshconfig

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
)

// Values returns the settings of the options and the configuration files for a host. file
// replaces the user's and the system's configuration; "" is these, "none" is none.
func Values(ctx context.Context, places Places, file string, options Options, host Destination) (map[string][]string, error) {
	file, err := ExpandHome(file, places.Home)
	if err != nil {
		return nil, fmt.Errorf("ssh configuration: %w", err)
	}
	config := newReader(places, host.Host, host.User)
	if err := config.readOptions(options); err != nil {
		return nil, err
	}
	readErr := config.readAll(file)
	if readErr == nil && !config.relevant {
		return config.expandNames()
	}

	program, err := exec.LookPath(places.Program)
	if err != nil {
		if readErr = cmp.Or(config.exposed, readErr); readErr != nil {
			return nil, fmt.Errorf("ssh configuration: %w", readErr)
		}
		if config.unresolved != nil {
			return nil, fmt.Errorf("ssh configuration: %w; install one, or read no file (the hop option config=none) and set the rest by options", config.unresolved)
		}
		return config.expandNames()
	}
	// If the files can't be read, the message of ssh is better.
	q := question{program: program, file: file, user: host.User, port: host.Port, host: host.Host,
		options: strings.Join(options, "\n"), home: places.Home, digest: config.digest.Sum64()}
	values, err := q.ask(ctx)
	if err != nil {
		return nil, fmt.Errorf("ssh configuration: %w", err)
	}
	return config.settle(values), nil
}

// expandNames expands the tokens of HostName, which `ssh -G` has done already.
func (c *reader) expandNames() (map[string][]string, error) {
	if name := c.values["hostname"]; name != nil {
		tokens := Tokens{Host: c.alias}
		expanded, err := tokens.Replace(name[0], "h")
		if err != nil {
			return nil, fmt.Errorf("HostName: %w", err)
		}
		c.values["hostname"] = []string{expanded}
	}
	return c.values, nil
}

// reader reads the files of ssh_config(5) for one host.
//
// If there is an ssh program, the settings come from `ssh -G` (see query.go): only ssh can
// evaluate Match, its commands and the canonicalisation of names. The reader has two uses. It
// tells whether `ssh -G` is needed: most hosts are in no Host block, and the distributions'
// own files have no setting that counts. And it gives the settings if there is no ssh program.
// The few things that it can't evaluate are then errors, never guesses.
type reader struct {
	places Places
	alias  string // the host as the user wrote it
	user   string // the user as given outside of the configuration, or ""

	values     map[string][]string // by keyword in lower case; the first value wins, files add up
	mentioned  map[string]bool     // keywords that stand in any block, be it another host's
	relevant   bool                // some setting for this host counts
	unresolved error               // the first line that only ssh itself can evaluate
	exposed    error               // the first file that another user can write; ssh reads no further
	digest     maphash.Hash        // of all files that were read
}

const (
	// maxIncludeDepth is READCONF_MAX_DEPTH of OpenSSH.
	maxIncludeDepth = 16
	// maxConfigFile bounds a file that is included by mistake, in bytes.
	maxConfigFile = 4 << 20
)

var configSeed = maphash.MakeSeed()

func newReader(places Places, alias, user string) *reader {
	c := &reader{places: places, alias: alias, user: user, values: map[string][]string{}, mentioned: map[string]bool{}}
	c.digest.SetSeed(configSeed)
	return c
}

// readAll reads the named file, or the user's and the system's where it is "".
func (c *reader) readAll(file string) error {
	if strings.EqualFold(file, "none") {
		return nil
	}
	if file != "" {
		return c.readFile(file, false, true, 0, false)
	}
	for _, f := range []struct {
		name   string
		system bool
	}{{c.places.userConfig(), false}, {c.places.SystemConfig, true}} {
		if f.name == "" {
			continue
		}
		if err := c.readFile(f.name, f.system, true, 0, !f.system); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// readFile reads a file. private says that nobody else may be able to write it: that goes for the
// user's configuration, and for all files that are included. Such a file is read all the same, since
// an ssh program may find nothing wrong with it (Debian's allows the group where that has no other
// member), and its settings must then not be passed over.
func (c *reader) readFile(name string, system, active bool, depth int, private bool) error {
	if depth > maxIncludeDepth {
		return fmt.Errorf("%s: Include is nested too deeply", name)
	}
	if info, err := os.Stat(name); err == nil {
		if info.Size() > maxConfigFile {
			return fmt.Errorf("%s: %w: more than %d bytes", name, errors.ErrUnsupported, maxConfigFile)
		}
		if private && c.exposed == nil && isExposed(info) {
			c.relevant = true
			c.exposed = failure.Classify(connect.ErrStart, fmt.Errorf("bad owner or permissions on %s: others can write it, and it may name commands; make it yours, and take the right to write from all others (chmod go-w)", name))
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	c.digest.WriteString(name)
	c.digest.WriteByte(0)
	c.digest.Write(text)
	c.digest.WriteByte(0)

	// An included file begins under the condition of its Include line, and
	// its own Host blocks can only narrow that down.
	outer := active
	for number, line := range bytes.Split(text, []byte("\n")) {
		keyword, rest := splitSetting(string(line))
		if keyword == "" {
			continue
		}
		if err := c.setting(keyword, rest, system, outer, &active, depth); err != nil {
			return fmt.Errorf("%s:%d: %w", name, number+1, err)
		}
	}
	return nil
}

func (c *reader) setting(keyword, rest string, system, outer bool, active *bool, depth int) error {
	keyword = canonicalKeyword(keyword)
	use := keywords[keyword]
	if use == 0 {
		if !matchAny(c.values["ignoreunknown"], keyword) {
			// It may be new, or misspelt: a restriction that was meant must
			// not be passed over.
			c.onlySSH("the keyword " + keyword)
		}
		return nil
	}
	c.mentioned[keyword] = true
	if slices.Contains(lineKeywords, keyword) {
		if rest == "" {
			return fmt.Errorf("%s without a value", keyword)
		}
		c.set(keyword, []string{rest}, *active)
		return nil
	}
	words, err := SplitWords(rest)
	if err != nil {
		return err
	}
	if err := checkValue(keyword, words); err != nil && len(words) > 0 {
		c.onlySSH("the value " + err.Error()) // which refuses it, unless it is new
	}
	switch keyword {
	case "host":
		*active = outer && matchHostWords(words, c.alias)
	case "match":
		*active = outer && c.match(words)
	case "include":
		return c.include(words, system, *active, depth)
	case "canonicalizehostname":
		if *active && (len(words) == 0 || !strings.EqualFold(words[0], "no")) {
			c.onlySSH("CanonicalizeHostname")
		}
	default:
		if len(words) == 0 {
			return fmt.Errorf("%s without a value", keyword)
		}
		c.set(keyword, words, *active)
	}
	return nil
}

func (c *reader) set(keyword string, words []string, active bool) {
	use := keywords[keyword]
	if !active || !use.read() {
		return
	}
	c.relevant = c.relevant || use == useAsked
	switch {
	case slices.Contains(gatheredKeywords, keyword):
		c.values[keyword] = append(c.values[keyword], words...)
	case keyword == "proxyjump" || keyword == "proxycommand":
		// The two exclude each other: whichever is set first.
		if c.values["proxyjump"] == nil && c.values["proxycommand"] == nil {
			c.values[keyword] = words
		}
	default:
		if c.values[keyword] == nil {
			c.values[keyword] = words
		}
	}
}

// settle adapts the answer of an ssh program to this client. A value of ownDefaults that the
// files don't set is the default of that program, and is dropped; one that they set comes from
// the files, which may change a default. In the names of known_hosts files ssh has replaced
// the tokens, so percent signs are escaped: they must not be replaced again.
func (c *reader) settle(answer map[string][]string) map[string][]string {
	settled := maps.Clone(answer)
	if files := c.values["userknownhostsfile"]; files != nil && c.unresolved == nil {
		settled["userknownhostsfile"] = files
	}
	for _, keyword := range ownDefaults {
		switch {
		case c.unresolved == nil && c.values[keyword] != nil:
			settled[keyword] = c.values[keyword]
		case c.unresolved == nil, !c.mentioned[keyword]:
			delete(settled, keyword)
		}
	}
	return settled
}

func (c *reader) include(words []string, system, active bool, depth int) error {
	for _, word := range words {
		tokens := Tokens{Alias: c.alias, Host: c.alias, Port: 22, User: cmp.Or(c.user, c.places.User),
			LocalUser: c.places.User, LocalHome: c.places.Home}
		word, err := tokens.Expand(word)
		if err != nil {
			return fmt.Errorf("include: %w", err)
		}
		switch {
		case filepath.IsAbs(word):
		case system:
			word = filepath.Join(filepath.Dir(c.places.SystemConfig), word)
		default:
			word = filepath.Join(c.places.Home, ".ssh", word)
		}
		names, err := filepath.Glob(word)
		if err != nil {
			return fmt.Errorf("include %s: %w", word, err)
		}
		for _, name := range names {
			if err := c.readFile(name, system, active, depth+1, true); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// match evaluates the criteria that depend on nothing but names.
func (c *reader) match(words []string) bool {
	c.relevant = true
	for i := 0; i < len(words); i++ {
		word, negated := strings.CutPrefix(words[i], "!")
		criterion, value, joined := strings.Cut(strings.ToLower(word), "=")
		if criterion == "all" {
			continue
		}
		if !joined {
			i++
			if i == len(words) {
				c.onlySSH("Match " + word)
				return false
			}
			value = words[i]
		}
		var subject string
		switch criterion {
		case "host":
			subject = c.alias
			if name := c.values["hostname"]; name != nil {
				subject = name[0]
			}
		case "originalhost":
			subject = c.alias
		case "user":
			if subject = c.user; subject == "" {
				subject = c.places.User
				if name := c.values["user"]; name != nil {
					subject = name[0]
				}
			}
		case "localuser":
			subject = c.places.User
		default:
			c.onlySSH("Match " + criterion)
			return false
		}
		if MatchList(value, strings.ToLower(subject)) == negated {
			return false
		}
	}
	return true
}

func (c *reader) onlySSH(what string) {
	c.relevant = true
	if c.unresolved == nil {
		c.unresolved = fmt.Errorf("%w: %s can be evaluated by an ssh program only", errors.ErrUnsupported, what)
	}
}

// matchAny reports whether one of several pattern lists covers the name.
func matchAny(lists []string, name string) bool {
	return slices.ContainsFunc(lists, func(list string) bool { return MatchList(list, name) })
}

// matchHostWords is the rule of a Host line: a negated pattern that matches
// vetoes the others.
func matchHostWords(words []string, host string) bool {
	found := false
	for _, word := range words {
		pattern, negated := strings.CutPrefix(word, "!")
		if !MatchWildcard(pattern, host) {
			continue
		}
		if negated {
			return false
		}
		found = true
	}
	return found
}

// splitSetting separates a line into its keyword, in lower case, and the rest.
func splitSetting(line string) (keyword, rest string) {
	line = strings.Trim(line, " \t\r\f")
	if line == "" || line[0] == '#' {
		return "", ""
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		return strings.ToLower(line), ""
	}
	rest = strings.TrimLeft(line[end:], " \t")
	if after, ok := strings.CutPrefix(rest, "="); ok {
		rest = strings.TrimLeft(after, " \t")
	}
	return strings.ToLower(strings.Trim(line[:end], `"`)), rest
}

// SplitWords splits the arguments of a setting: quotes hold a word together, a
// # at the start of one begins a comment.
func SplitWords(text string) ([]string, error) {
	var words []string
	for {
		text = strings.TrimLeft(text, " \t")
		if text == "" || text[0] == '#' {
			return words, nil
		}
		var word strings.Builder
		quote := byte(0)
		i := 0
	scan:
		for ; i < len(text); i++ {
			switch ch := text[i]; {
			case ch == '\\' && i+1 < len(text) && strings.IndexByte(`"'\`, text[i+1]) >= 0:
				i++
				word.WriteByte(text[i])
			case quote != 0 && ch == quote:
				quote = 0
			case quote != 0:
				word.WriteByte(ch)
			case ch == '"' || ch == '\'':
				quote = ch
			case ch == ' ' || ch == '\t':
				break scan
			default:
				word.WriteByte(ch)
			}
		}
		if quote != 0 {
			return nil, errors.New("quote without end")
		}
		words = append(words, word.String())
		text = text[i:]
	}
}
