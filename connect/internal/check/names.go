// Package check refuses names that a tool would take for something else.
package check

import (
	"fmt"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
)

// Host refuses names that a tool could take for something else: an option, a second word, an
// end of the string. It takes IPv6 addresses with zones, and names with underscores.
func Host(host string) error {
	return Name("host", host, "@[]")
}

// User refuses names that a tool could take for something else. It takes dots, plus signs,
// backslashes (of domains) and @.
func User(user string) error {
	return Name("user", user, "")
}

// Name refuses an empty name, one that is too long or looks like an option, and one with
// characters of forbidden or of a shell. The error has what as the kind of name.
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

// Word refuses strings that name no container, pod, machine or image: names have letters,
// digits, dots, dashes, underscores and the characters of extra only.
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

// Optional is Name for a name that may be empty.
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

// HostAndUser refuses names that a program or a protocol could take for something else. They
// are checked twice: as given, before they go to `ssh -G`, and as in the configuration.
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
