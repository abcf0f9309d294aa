// Package check refuses names that a tool would take for something else.
package check

import (
	"fmt"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
)

// Host refuses what a tool could take for something else than a host:
// an option, a second word, an end of the string. IPv6 addresses with zones
// and names with underscores are fine.
func Host(host string) error {
	return Name("host", host, "@[]")
}

// User refuses what a tool could take for something else than a user.
// Names may hold dots, plus signs, backslashes (domains) and @.
func User(user string) error {
	return Name("user", user, "")
}

// Name refuses an empty name, one that is too long or looks like an option, and one with
// characters of forbidden or of a shell. what is the kind of name, for the error.
func Name(what, name, forbidden string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: the %s is empty", connect.ErrBadName, what)
	case len(name) > 255:
		return fmt.Errorf("%w: the %s has %d bytes", connect.ErrBadName, what, len(name))
	case name[0] == '-':
		return fmt.Errorf("%w: the %s %q looks like an option", connect.ErrBadName, what, name)
	}
	for _, r := range name {
		if r <= ' ' || r == 0x7f || strings.ContainsRune(`/"'`+"`$;&|<>(){}*?!#", r) || strings.ContainsRune(forbidden, r) {
			return fmt.Errorf("%w: the %s %q holds the character %q", connect.ErrBadName, what, name, r)
		}
	}
	// user@-v: what follows the last @ would be an option again.
	if at := strings.LastIndexByte(name, '@'); at >= 0 && (at+1 == len(name) || name[at+1] == '-') {
		return fmt.Errorf("%w: the %s %q", connect.ErrBadName, what, name)
	}
	return nil
}

// Word refuses what is no name of a container, pod, machine or image:
// those have letters, digits, dots, dashes and underscores only, and the
// characters of extra.
func Word(what, word, extra string) error {
	if err := Name(what, strings.ReplaceAll(word, "/", "_"), ""); err != nil {
		return err
	}
	for _, r := range word {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("._-"+extra, r):
		default:
			return fmt.Errorf("%w: the %s %q holds the character %q", connect.ErrBadName, what, word, r)
		}
	}
	return nil
}

// Optional is Name for what need not be given.
func Optional(what, name string) error {
	if name == "" {
		return nil
	}
	return Name(what, name, "")
}

// Dir refuses a directory that a tool would take for an option, or that
// would depend on where a context happens to run.
func Dir(what, dir string) error {
	if !strings.HasPrefix(dir, "/") || strings.IndexByte(dir, 0) >= 0 {
		return fmt.Errorf("%w: the %s %q is not an absolute path", connect.ErrBadName, what, dir)
	}
	return nil
}

// Args refuses arguments that no process can be given.
func Args(args []string) error {
	for _, arg := range args {
		if strings.IndexByte(arg, 0) >= 0 {
			return fmt.Errorf("%w: the argument %q holds a zero byte", connect.ErrBadName, arg)
		}
	}
	return nil
}

// HostAndUser refuses names that would mean something else than a name to a
// program or a protocol. They are checked twice: as they were given, before they go to
// `ssh -G`, and as the configuration has them.
func HostAndUser(host, user string) error {
	if err := Host(host); err != nil {
		return err
	}
	if user == "" {
		return nil
	}
	return User(user)
}

// Nothing refuses an argument of a method that takes none.
func Nothing(arg string) error {
	if arg != "" {
		return fmt.Errorf("%w: it takes no argument", connect.ErrBadName)
	}
	return nil
}
