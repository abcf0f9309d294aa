package tool

import (
	"fmt"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
)

// ArgvWithoutDollars is the first stage as arguments in which nothing is left for
// a tool that takes dollar signs for variables.
func ArgvWithoutDollars(e *connect.OpenRequest) []string {
	last := len(e.Argv) - 1
	if last < 0 {
		return nil
	}
	return append(e.Argv[:last:last], withoutDollars(e.Argv[last]))
}

// withoutDollars wraps a script so that nothing in it means anything to a shell
// that it passes through: sh gets it back from octal numbers. Backquotes do
// what $() would.
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
