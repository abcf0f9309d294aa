package sshconfig

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
)

// Tokens are the values of the %-tokens of ssh_config(5).
type Tokens struct {
	Alias        string          // %n: the host as it was given
	Host         string          // %h: the host that is dialled
	Port         int             // %p
	User         string          // %r: the remote user
	LocalUser    string          // %u
	LocalHome    string          // %d
	HostKeyAlias string          // %k
	Jump         string          // %j
	Lookup       map[byte]string // those of KnownHostsCommand: %f, %H, %I, %K and %t
}

// FileTokens are the tokens that names of files and most other values may have.
const FileTokens = "CdhijkLlnpru"

// Expand replaces the tokens and ${NAME} in a file name of the
// configuration, and a leading "~" or "~user". An unknown token is an error, as in ssh.
func (t *Tokens) Expand(text string) (string, error) {
	text, err := ExpandHome(text, t.LocalHome)
	if err != nil {
		return "", err
	}
	return t.ExpandValue(text)
}

// ExpandValue is Expand for a value that is no file.
func (t *Tokens) ExpandValue(text string) (string, error) {
	text, err := ExpandVariables(text)
	if err != nil {
		return "", err
	}
	return t.Replace(text, FileTokens)
}

// ExpandJump replaces the tokens of one element of ProxyJump.
func (t *Tokens) ExpandJump(text string) (string, error) { return t.Replace(text, "hnpr") }

// ExpandHome replaces a leading "~" by the user's home, and "~user" by that of another user.
func ExpandHome(text, home string) (string, error) {
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

// ExpandCommand replaces the tokens that a ProxyCommand may have. A shell reads the result, so
// values with characters that a shell interprets are refused.
func (t *Tokens) ExpandCommand(text string) (string, error) {
	for _, value := range []string{t.Alias, t.Host, t.User} {
		for _, c := range value {
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("._:@%+=,/-", c)) {
				return "", fmt.Errorf("%w: %q can't be put into a ProxyCommand", connect.ErrBadName, value)
			}
		}
		if strings.HasPrefix(value, "-") {
			return "", fmt.Errorf("%w: %q can't be put into a ProxyCommand", connect.ErrBadName, value)
		}
	}
	return t.Replace(text, "hnpr")
}

// Replace expands the tokens whose letters are allowed, and refuses others.
func (t *Tokens) Replace(text, allowed string) (string, error) {
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

func (t *Tokens) value(token byte) string {
	local, _ := os.Hostname()
	switch token {
	case 'C':
		sum := sha1.Sum([]byte(local + t.Host + strconv.Itoa(t.Port) + t.User + t.Jump))
		return hex.EncodeToString(sum[:])
	case 'd':
		return t.LocalHome
	case 'h':
		return t.Host
	case 'i':
		return strconv.Itoa(os.Getuid())
	case 'j':
		return t.Jump
	case 'k':
		if t.HostKeyAlias != "" {
			return t.HostKeyAlias
		}
		return t.Alias
	case 'L':
		short, _, _ := strings.Cut(local, ".")
		return short
	case 'l':
		return local
	case 'n':
		return t.Alias
	case 'p':
		return strconv.Itoa(t.Port)
	case 'r':
		return t.User
	case 'u':
		return t.LocalUser
	}
	return t.Lookup[token]
}

// ExpandVariables replaces ${NAME}. One that is not set is an error, as in ssh.
func ExpandVariables(text string) (string, error) {
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
