package connect

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// sshTokens are the values of the %-tokens of ssh_config(5).
type sshTokens struct {
	alias        string // %n: the host as it was given
	host         string // %h: the host that is dialled
	port         int    // %p
	user         string // %r: the remote user
	localUser    string // %u
	localHome    string // %d
	hostKeyAlias string // %k
	jump         string // %j
}

// expand replaces the tokens and ${NAME} in a file name of the
// configuration, and a leading "~". An unknown token is an error, as in ssh.
func (t *sshTokens) expand(text string) (string, error) {
	if rest, ok := strings.CutPrefix(text, "~/"); ok {
		text = filepath.Join(t.localHome, rest)
	} else if text == "~" {
		text = t.localHome
	}
	text, err := expandVariables(text)
	if err != nil {
		return "", err
	}
	return t.replace(text, "CdhijkLlnpru")
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
	return ""
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
