package resolve

import (
	"os"
	"strings"
)

// nsswitch is the file that names the sources of names.
const nsswitch = "/etc/nsswitch.conf"

// A lookupOrder says of whom a name is asked.
type lookupOrder struct {
	system bool // getent comes first: there is a source before DNS that Go does not know
	dns    bool // DNS is among the sources
}

// orderOf reads the line of nsswitch.conf(5) about hosts. Where it names a source that
// Go's resolver does not know, that goes by /etc/hosts and DNS, also where DNS is
// not named: it then waits for a server that nothing else asks.
func orderOf(file string) lookupOrder {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		database, sources, _ := strings.Cut(line, ":")
		if strings.TrimSpace(database) != "hosts" {
			continue
		}
		var order lookupOrder
		for _, source := range strings.Fields(withoutActions(sources)) {
			switch source {
			case "files":
			case "dns":
				order.dns = true
			default:
				order.system = order.system || !order.dns
			}
		}
		return order
	}
	return lookupOrder{dns: true}
}

// withoutActions takes away what stands in brackets.
func withoutActions(sources string) string {
	for {
		before, rest, found := strings.Cut(sources, "[")
		if !found {
			return sources
		}
		_, after, _ := strings.Cut(rest, "]")
		sources = before + " " + after
	}
}
