package sshconfig

import (
	"strings"

	"github.com/mitosis-go/mitosis/connect/internal/check"
)

// Destination is a host in the form that ssh takes: [USER@]HOST[:PORT].
type Destination struct {
	User, Host string
	Port       int // 0: that of the configuration, or 22
}

// String is the destination without the parts that are not set, and without the port 22.
func (d Destination) String() string {
	if d.Port == 22 {
		d.Port = 0
	}
	return d.Word()
}

// Word is the destination with its port, also 22: it wins over that of the configuration.
func (d Destination) Word() string {
	to := d.Host
	if d.Port != 0 {
		to = check.HostPort(d.Host, d.Port)
	}
	if d.User != "" {
		to = d.User + "@" + to
	}
	return to
}

// ParseJumped takes a list of hosts apart, of which all but the last are jump hosts.
func ParseJumped(list string) (jumps []Destination, to Destination, err error) {
	for i, host := range strings.Split(list, ",") {
		if i > 0 {
			jumps = append(jumps, to)
		}
		if to.User, to.Host, to.Port, err = check.Address(host); err != nil {
			return nil, Destination{}, err
		}
	}
	return jumps, to, nil
}
