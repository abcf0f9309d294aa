package wire

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

var (
	errNoObject = errors.New("a header is no JSON object")
	errNoText   = errors.New("a header has a text that is no Unicode: names that are none go into the body")
)

// checkHeader returns an error for a header that is no object, or has texts that are no Unicode. Package
// json puts another character where one is not, and another file would have that name.
func checkHeader(header []byte) error {
	if b := bytes.TrimLeft(header, " \t\r\n"); len(b) == 0 || b[0] != '{' {
		return errNoObject
	}
	if !utf8.Valid(header) {
		return errNoText
	}
	for {
		i := bytes.IndexByte(header, '\\')
		if i < 0 {
			return nil
		}
		header = header[i:]
		switch r := escaped(header); {
		case !utf16.IsSurrogate(r):
			header = header[min(2, len(header)):]
		case utf16.DecodeRune(r, escaped(header[6:])) == utf8.RuneError:
			return errNoText
		default:
			header = header[12:]
		}
	}
}

// escaped returns the 16 bits of the escape with which b begins, or 0.
func escaped(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(n)
}
