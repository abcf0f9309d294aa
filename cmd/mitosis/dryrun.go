package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
)

// wayTo is how a host would be reached and what would be done there, as docs/schema/dry-run.json
// says.
type wayTo struct {
	Host string   `json:"host"`
	Hops []wayHop `json:"hops"`
	Do   string   `json:"do"`
}

// wayHop is a hop with the command line that it would run; nil: it runs no program.
type wayHop struct {
	Hop  string   `json:"hop"`
	Argv []string `json:"argv"`
}

// dryRun returns the job that tells how each host would be reached, hop by hop, and what would
// be done there. It opens nothing.
func dryRun(h *hosts, what string, asJSON bool) job {
	return func(out, errOut io.Writer) int {
		for name := range h.set.All() {
			way := wayTo{Host: name, Do: what}
			for _, hop := range h.hops[name] {
				argv, err := connect.DryRun(hop)
				if err != nil && !errors.Is(err, errors.ErrUnsupported) {
					return complain(errOut, fmt.Errorf("%s: %w", name, err), exitUsage)
				}
				way.Hops = append(way.Hops, wayHop{hop.Label(), argv})
			}
			show := way.print
			if asJSON {
				show = func(out io.Writer) error { return printJSON(out, way) }
			}
			if err := show(out); err != nil {
				return complain(errOut, err, exitError)
			}
		}
		return 0
	}
}

// print prints the way for people.
func (w *wayTo) print(out io.Writer) error {
	text := printable(w.Host) + ":\n"
	for _, hop := range w.Hops {
		text += "  " + printable(hop.Hop)
		if hop.Argv != nil {
			text += ": " + quotedArgs(hop.Argv)
		}
		text += "\n"
	}
	_, err := fmt.Fprintf(out, "%s  %s\n", text, w.Do)
	return err
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
