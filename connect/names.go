package connect

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// checkHost refuses what a tool could take for something else than a host:
// an option, a second word, an end of the string. IPv6 addresses with zones
// and names with underscores are fine.
func checkHost(host string) error {
	return checkName("host", host, "@[]")
}

// checkUser refuses what a tool could take for something else than a user.
// Names may hold dots, plus signs, backslashes (domains) and @.
func checkUser(user string) error {
	return checkName("user", user, "")
}

func checkName(what, name, forbidden string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: the %s is empty", ErrBadName, what)
	case len(name) > 255:
		return fmt.Errorf("%w: the %s has %d bytes", ErrBadName, what, len(name))
	case name[0] == '-':
		return fmt.Errorf("%w: the %s %q looks like an option", ErrBadName, what, name)
	}
	for _, r := range name {
		if r <= ' ' || r == 0x7f || strings.ContainsRune(`/"'`+"`$;&|<>(){}*?!#", r) || strings.ContainsRune(forbidden, r) {
			return fmt.Errorf("%w: the %s %q holds the character %q", ErrBadName, what, name, r)
		}
	}
	// user@-v: what follows the last @ would be an option again.
	if at := strings.LastIndexByte(name, '@'); at >= 0 && (at+1 == len(name) || name[at+1] == '-') {
		return fmt.Errorf("%w: the %s %q", ErrBadName, what, name)
	}
	return nil
}

// checkWord refuses what is no name of a container, pod, machine or image:
// those have letters, digits, dots, dashes and underscores only, and the
// characters of extra.
func checkWord(what, word, extra string) error {
	if err := checkName(what, strings.ReplaceAll(word, "/", "_"), ""); err != nil {
		return err
	}
	for _, r := range word {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("._-"+extra, r):
		default:
			return fmt.Errorf("%w: the %s %q holds the character %q", ErrBadName, what, word, r)
		}
	}
	return nil
}

// checkOptional is checkName for what need not be given.
func checkOptional(what, name string) error {
	if name == "" {
		return nil
	}
	return checkName(what, name, "")
}

// checkDir refuses a directory that a tool would take for an option, or that
// would depend on where a context happens to run.
func checkDir(what, dir string) error {
	if !strings.HasPrefix(dir, "/") || strings.IndexByte(dir, 0) >= 0 {
		return fmt.Errorf("%w: the %s %q is not an absolute path", ErrBadName, what, dir)
	}
	return nil
}

// checkArgs refuses arguments that no process can be given.
func checkArgs(args []string) error {
	for _, arg := range args {
		if strings.IndexByte(arg, 0) >= 0 {
			return fmt.Errorf("%w: the argument %q holds a zero byte", ErrBadName, arg)
		}
	}
	return nil
}

// maxShown bounds a name in a message.
const maxShown = 256

// showName makes a name that may not be one fit for a message.
func showName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return '_'
		}
		return r
	}, name)
	if len(name) > maxShown {
		name = strings.ToValidUTF8(name[:maxShown], "") + "..."
	}
	return name
}
