package connect

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// sshTokens are the values of the %-tokens of ssh_config(5).
type sshTokens struct {
	alias        string          // %n: the host as it was given
	host         string          // %h: the host that is dialled
	port         int             // %p
	user         string          // %r: the remote user
	localUser    string          // %u
	localHome    string          // %d
	hostKeyAlias string          // %k
	jump         string          // %j
	lookup       map[byte]string // those of KnownHostsCommand: %f, %H, %I, %K and %t
}

// fileTokens are those that the names of files, and most other values, may have.
const fileTokens = "CdhijkLlnpru"

// expand replaces the tokens and ${NAME} in a file name of the
// configuration, and a leading "~" or "~user". An unknown token is an error, as in ssh.
func (t *sshTokens) expand(text string) (string, error) {
	text, err := expandHome(text, t.localHome)
	if err != nil {
		return "", err
	}
	return t.expandValue(text)
}

// expandValue is expand for a value that is no file.
func (t *sshTokens) expandValue(text string) (string, error) {
	text, err := expandVariables(text)
	if err != nil {
		return "", err
	}
	return t.replace(text, fileTokens)
}

// expandJump replaces the tokens of one element of ProxyJump.
func (t *sshTokens) expandJump(text string) (string, error) { return t.replace(text, "hnpr") }

// expandHome replaces a leading "~" by our home, and "~user" by that user's.
func expandHome(text, home string) (string, error) {
	rest, tilde := strings.CutPrefix(text, "~")
	if !tilde {
		return text, nil
	}
	name, rest, _ := strings.Cut(rest, "/")
	if name != "" {
		u, err := user.Lookup(name)
		if err != nil {
			return "", fmt.Errorf("%s: %w", text, err)
		}
		home = u.HomeDir
	}
	return filepath.Join(home, rest), nil
}

// expandCommand replaces the tokens that a ProxyCommand may have. The result is
// read by a shell, so values that mean anything to one are refused.
func (t *sshTokens) expandCommand(text string) (string, error) {
	for _, value := range []string{t.alias, t.host, t.user} {
		for _, c := range value {
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("._:@%+=,/-", c)) {
				return "", fmt.Errorf("%w: %q can't be put into a ProxyCommand", ErrBadName, value)
			}
		}
		if strings.HasPrefix(value, "-") {
			return "", fmt.Errorf("%w: %q can't be put into a ProxyCommand", ErrBadName, value)
		}
	}
	return t.replace(text, "hnpr")
}

func (t *sshTokens) replace(text, allowed string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b.WriteByte(text[i])
			continue
		}
		i++
		if i < len(text) && text[i] == '%' {
			b.WriteByte('%')
			continue
		}
		if i == len(text) || !strings.ContainsRune(allowed, rune(text[i])) {
			return "", fmt.Errorf("unknown token in %q", text)
		}
		b.WriteString(t.value(text[i]))
	}
	return b.String(), nil
}

func (t *sshTokens) value(token byte) string {
	local, _ := os.Hostname()
	switch token {
	case 'C':
		sum := sha1.Sum([]byte(local + t.host + strconv.Itoa(t.port) + t.user + t.jump))
		return hex.EncodeToString(sum[:])
	case 'd':
		return t.localHome
	case 'h':
		return t.host
	case 'i':
		return strconv.Itoa(os.Getuid())
	case 'j':
		return t.jump
	case 'k':
		if t.hostKeyAlias != "" {
			return t.hostKeyAlias
		}
		return t.alias
	case 'L':
		short, _, _ := strings.Cut(local, ".")
		return short
	case 'l':
		return local
	case 'n':
		return t.alias
	case 'p':
		return strconv.Itoa(t.port)
	case 'r':
		return t.user
	case 'u':
		return t.localUser
	}
	return t.lookup[token]
}

// expandVariables replaces ${NAME}. One that is not set is an error, as in ssh.
func expandVariables(text string) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", fmt.Errorf("${ without } in %q", text)
		}
		value, set := os.LookupEnv(name)
		if !set {
			return "", fmt.Errorf("environment variable %s is not set", name)
		}
		b.WriteString(value)
		text = after
	}
}
