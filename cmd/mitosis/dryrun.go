package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
)

// dryRun returns the job that tells how each host would be reached, hop by hop, and what would
// be done there. It opens nothing.
func dryRun(h *hosts, what string) job {
	return func(out, errOut io.Writer) int {
		for name := range h.set.All() {
			fmt.Fprintf(out, "%s:\n", printable(name))
			for _, hop := range h.hops[name] {
				line := printable(hop.Label())
				argv, err := connect.DryRun(hop)
				if err == nil {
					line += ": " + quotedArgs(argv)
				} else if !errors.Is(err, errors.ErrUnsupported) {
					return complain(errOut, fmt.Errorf("%s: %w", name, err), exitUsage)
				}
				fmt.Fprintf(out, "  %s\n", line)
			}
			if _, err := fmt.Fprintf(out, "  %s\n", what); err != nil {
				return complain(errOut, err, exitError)
			}
		}
		return 0
	}
}

// quotedArgs returns words as a shell would read them.
func quotedArgs(argv []string) string {
	var words []string
	for _, a := range argv {
		plain := strings.IndexFunc(a, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:=@%+,", r))
		}) < 0
		switch {
		case plain && a != "":
		case printable(a) != a:
			a = "$" + "'" + strings.ReplaceAll(string(visible([]byte(strings.ReplaceAll(a, `\`, `\\`)))), "'", `\'`) + "'"
		default:
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}
