package connect

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mitosis-go/mitosis/connect/internal/printable"
)

// Within brackets nothing separates: [/etc/ssh/config], [a,b], [::1]. Anywhere, %XX stands for
// the byte with that number. A percent sign before anything else than two digits of base 16
// stands for itself: fe80::1%eth0.

// cutOutside cuts s at the first sep that is in no brackets.
func cutOutside(s string, sep byte) (before, after string, found bool) {
	bracket := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '[':
			bracket = true
		case s[i] == ']':
			bracket = false
		case s[i] == sep && !bracket:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// splitOutside splits s at each sep that is in no brackets.
func splitOutside(s string, sep byte) []string {
	var parts []string
	for {
		part, rest, found := cutOutside(s, sep)
		parts = append(parts, part)
		if !found {
			return parts
		}
		s = rest
	}
}

const hexDigits = "0123456789ABCDEF"

// escaped returns the byte for which the beginning of s stands: "%2F".
func escaped(s string) (byte, bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	high, low := strings.IndexByte(hexDigits, upper(s[1])), strings.IndexByte(hexDigits, upper(s[2]))
	return byte(high<<4 | low), high >= 0 && low >= 0
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// unescape is the reverse of escape.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c, ok := escaped(s[i:]); ok {
			b.WriteByte(c)
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// withoutBrackets takes the brackets off a text, and the escapes.
func withoutBrackets(s string) (string, error) {
	open := strings.Count(s, "[")
	if open != strings.Count(s, "]") || open > 0 && strings.IndexByte(s, ']') < strings.IndexByte(s, '[') {
		return "", fmt.Errorf("%w: a bracket is missing in %q", ErrBadName, printable.Name(s))
	}
	return unescape(strings.NewReplacer("[", "", "]", "").Replace(s)), nil
}

// escape writes a text so that it is read as the same. asIs has the characters that separate
// nothing there, or that have to be kept because they do.
func escape(s, asIs string) string {
	special := "/?&#[],="
	bracket := asIs == "" || !strings.ContainsAny(asIs, "[")
	if bracket = bracket && strings.ContainsAny(s, "/,"); bracket {
		special = "[]"
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		_, looksEscaped := escaped(s[i:])
		switch {
		case r == utf8.RuneError && size == 1, r == ' ', !unicode.IsPrint(r), looksEscaped,
			strings.ContainsRune(special, r) && !strings.ContainsRune(asIs, r):
			for _, c := range []byte(s[i : i+size]) {
				b.WriteString("%" + string(hexDigits[c>>4]) + string(hexDigits[c&15]))
			}
		default:
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	if bracket {
		return "[" + b.String() + "]"
	}
	return b.String()
}
