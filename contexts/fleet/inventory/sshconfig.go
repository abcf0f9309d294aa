package inventory

import (
	"bufio"
	"bytes"
	"strings"
)

// readSSHConfig takes the hosts that an ssh_config names without wildcards. How they are
// reached is for ssh to say: the hop is an ssh login by that name.
func (i *Inventory) readSSHConfig(text []byte) error {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		words := strings.Fields(strings.Replace(lines.Text(), "=", " ", 1))
		if len(words) == 0 || !strings.EqualFold(words[0], "Host") {
			continue
		}
		for _, name := range words[1:] {
			if name = strings.Trim(name, `"`); !strings.ContainsAny(name, "*?!") && name != "" {
				i.addTo(all, name)
			}
		}
	}
	return lines.Err()
}
