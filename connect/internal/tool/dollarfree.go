package tool

import (
	"fmt"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
)

// ArgvWithoutDollars returns the first stage as arguments without dollar signs, for tools
// that take these for variables.
func ArgvWithoutDollars(e *connect.OpenRequest) []string {
	last := len(e.Argv) - 1
	if last < 0 {
		return nil
	}
	return append(e.Argv[:last:last], withoutDollars(e.Argv[last]))
}

// withoutDollars wraps a script so that shells on the way leave it alone: other characters
// than letters, digits and a few more are octal numbers, which printf turns back. It uses
// backquotes, since $() has a dollar sign.
func withoutDollars(text string) string {
	var b strings.Builder
	b.WriteString("eval \"`printf %b '")
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(" _-./:;,=+@", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\0%03o`, c)
		}
	}
	b.WriteString("'`\"")
	return b.String()
}
