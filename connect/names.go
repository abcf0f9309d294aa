package connect

import (
	"fmt"
	"strings"
)

// checkHost refuses what a tool could take for something else than a host:
// an option, a second word, an end of the string. IPv6 addresses with zones
// and names with underscores are fine.
func checkHost(host string) error {
	return checkName("host", host, "@")
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
