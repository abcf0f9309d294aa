package sshconfig

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
	"github.com/mitosis-go/mitosis/connect/internal/printable"
)

// Options are settings as ssh takes them behind -o: "Keyword=value" or "Keyword value". They
// come before the files, so that their values win.
type Options []string

// inFilesOnly are the keywords that structure a file.
var inFilesOnly = []string{"host", "match", "include"}

// IsOption reports whether an option can set a keyword.
func IsOption(keyword string) bool {
	keyword = canonicalKeyword(strings.ToLower(keyword))
	return keywords[keyword] != 0 && !slices.Contains(inFilesOnly, keyword)
}

// Values returns the values of the options, as a file with the same lines has them. The error
// names the first one that can't be read. It matches connect.ErrStart.
func (o Options) Values() (map[string][]string, error) {
	c := newReader(Places{}, "", "")
	err := c.readOptions(o)
	return c.values, err
}

// readOptions reads the options as lines in front of all files. A keyword that no table has is
// an error at once, also where an ssh program knows it: in a file it may be meant for another
// program, and here it is not.
func (c *reader) readOptions(options Options) error {
	for _, option := range options {
		c.digest.WriteString(option)
		c.digest.WriteByte(0)
		if err := c.readOption(option); err != nil {
			return failure.Classify(connect.ErrStart, fmt.Errorf("option %q: %w", printable.Name(option), err))
		}
	}
	// Their values are at hand, so that no program needs to be asked for them.
	c.relevant = c.unresolved != nil
	return nil
}

func (c *reader) readOption(option string) error {
	if strings.ContainsAny(option, "\x00\n") {
		return fmt.Errorf("it is more than one line")
	}
	keyword, rest := splitSetting(option)
	keyword = canonicalKeyword(keyword)
	switch {
	case keyword == "":
		return fmt.Errorf("it is not Keyword=value")
	case slices.Contains(inFilesOnly, keyword):
		return fmt.Errorf("%s can only stand in a file", keyword)
	case keywords[keyword] == 0 && !matchAny(c.values["ignoreunknown"], keyword):
		return fmt.Errorf("there is no keyword %s of ssh_config", keyword)
	}
	if !slices.Contains(lineKeywords, keyword) {
		words, err := SplitWords(rest)
		if err == nil && len(words) > 0 {
			err = checkValue(keyword, words)
		}
		if err != nil {
			return err
		}
	}
	active := true
	return c.setting(keyword, rest, false, true, &active, 0)
}

// Quote writes a value so that it is read as one word.
func Quote(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// AnyKeyword stands for the keywords in a list of the options of a hop word.
const AnyKeyword = "KEYWORD of ssh_config"

// HostKeyPolicies are the words for a connect.HostKeyPolicy, in its order.
var HostKeyPolicies = []string{"strict", "accept-new", "insecure-ignore", "ask"}
