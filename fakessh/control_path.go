package fakessh

import (
	"cmp"
	"crypto/sha1"
	"encoding/hex"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// pathTokens has the values of the tokens of a ControlPath.
type pathTokens struct {
	me, home string
	uid      int
	hostname string                            // of this host
	lookup   func(name string) (string, bool)  // in the environment
	homeOf   func(user string) (string, error) // of ~user
}

// tokensOf returns the tokens for this host and an environment.
func tokensOf(lookup func(name string) (string, bool)) pathTokens {
	t := pathTokens{uid: os.Getuid(), lookup: lookup}
	t.hostname, _ = os.Hostname()
	if u, err := user.Current(); err == nil {
		t.me, t.home = u.Username, u.HomeDir
	}
	t.homeOf = func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.HomeDir, nil
	}
	return t
}

// controlPath expands the path of the control socket as ssh does: first a leading ~, then
// ${NAME} and tokens. "" is none.
func (l *CommandLine) controlPath(t pathTokens) (string, error) {
	s := l.ControlPath
	if s == "" || strings.EqualFold(s, "none") {
		return "", nil
	}
	if rest, ok := strings.CutPrefix(s, "~"); ok {
		name, rest, _ := strings.Cut(rest, "/")
		home := t.home
		if name != "" {
			var err error
			if home, err = t.homeOf(name); err != nil {
				return "", refuse("tilde_expand: No such user %s", name)
			}
		}
		s = home + "/" + rest
	}
	var b strings.Builder
	for s != "" {
		switch {
		case strings.HasPrefix(s, "${"):
			name, rest, closed := strings.Cut(s[2:], "}")
			if !closed {
				return "", refuse("vdollar_percent_expand: environment variable '%s' missing closing '}'", name)
			}
			value, ok := t.lookup(name)
			if !ok {
				return "", refuse("vdollar_percent_expand: env var ${%s} has no value", name)
			}
			b.WriteString(value)
			s = rest
		case s == "%":
			return "", refuse("vdollar_percent_expand: invalid format")
		case s[0] == '%':
			value, ok := l.token(s[1], t)
			if !ok {
				return "", refuse("vdollar_percent_expand: unknown key %%%c", s[1])
			}
			b.WriteString(value)
			s = s[2:]
		default:
			b.WriteByte(s[0])
			s = s[1:]
		}
	}
	return b.String(), nil
}

// token returns the value of a token.
func (l *CommandLine) token(key byte, t pathTokens) (string, bool) {
	host, port, remote := strings.ToLower(l.Host), strconv.Itoa(cmp.Or(l.Port, 22)), cmp.Or(l.User, t.me)
	switch key {
	case '%':
		return "%", true
	case 'C':
		sum := sha1.Sum([]byte(t.hostname + host + port + remote))
		return hex.EncodeToString(sum[:]), true
	case 'L':
		short, _, _ := strings.Cut(t.hostname, ".")
		return short, true
	case 'd':
		return t.home, true
	case 'h':
		return host, true
	case 'i':
		return strconv.Itoa(t.uid), true
	case 'j':
		return "", true // the jump host; there is none
	case 'k', 'n':
		return l.Host, true
	case 'l':
		return t.hostname, true
	case 'p':
		return port, true
	case 'r':
		return remote, true
	case 'u':
		return t.me, true
	}
	return "", false
}

// absolute makes a path of the shim absolute, whose working directory is not that of this
// process.
func absolute(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
