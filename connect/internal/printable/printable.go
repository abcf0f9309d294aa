// Package printable makes text from other programs safe to show.
package printable

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Name makes a name safe for a message, also one that was refused.
func Name(name string) string {
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

// maxShown bounds a name in a message.
const maxShown = 256

// Text removes control characters, with which a hostile server could overwrite a terminal.
func Text(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}

// Line is Text that also removes escape sequences: tools colour their prompts.
func Line(s string) string {
	if strings.IndexByte(s, 0x1b) < 0 {
		return Text(s)
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] != 0x1b {
			b.WriteByte(s[i])
			i++
			continue
		}
		i++ // the introducer
		if i < len(s) && s[i] == '[' {
			// CSI: parameters, then one byte from 0x40 to 0x7e (ECMA-48, 5.4).
			for i++; i < len(s) && (s[i] < 0x40 || s[i] > 0x7e); i++ {
			}
		}
		if i < len(s) && s[i] < utf8.RuneSelf {
			i++
		}
	}
	return Text(b.String())
}
