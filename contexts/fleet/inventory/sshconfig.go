package inventory

import (
	"bufio"
	"bytes"
	"strings"
)

// readSSHConfig takes the hosts of an ssh_config. How they are reached is for ssh to say: the hop
// is an ssh login by that name.
func (i *Inventory) readSSHConfig(text []byte) error {
	hosts, _, err := OfSSHConfig(text)
	i.addTo(all, hosts...)
	return err
}

// OfSSHConfig returns the hosts that an ssh_config names without wildcards, and the patterns of
// other files that it includes, as they are written.
func OfSSHConfig(text []byte) (hosts, includes []string, err error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		words := strings.Fields(strings.Replace(lines.Text(), "=", " ", 1))
		if len(words) == 0 {
			continue
		}
		for _, name := range words[1:] {
			name = strings.Trim(name, `"`)
			switch {
			case name == "":
			case strings.EqualFold(words[0], "Include"):
				includes = append(includes, name)
			case strings.EqualFold(words[0], "Host") && !strings.ContainsAny(name, "*?!"):
				hosts = append(hosts, name)
			}
		}
	}
	return hosts, includes, lines.Err()
}
