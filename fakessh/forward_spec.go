package fakessh

import (
	"fmt"
	"strconv"

	"github.com/mitosis-go/mitosis/internal/tunnel"
)

// services are the names of ports that are known here; ssh looks them up in
// /etc/services.
var services = map[string]int{
	"ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "http": 80, "imap2": 143, "ldap": 389, "https": 443,
	"ldaps": 636, "imaps": 993, "mysql": 3306, "postgresql": 5432,
}

// parsePort reads a number or the name of a service.
func parsePort(s string) (int, error) {
	if port, ok := services[s]; ok {
		return port, nil
	}
	n, err := strconv.ParseUint(s, 10, 16) // takes no sign
	if err != nil {
		return 0, fmt.Errorf("%q is not a port", s)
	}
	return int(n), nil
}

// parseForward reads a forwarding, of -R or of the others. Only the far side may choose a
// port.
func parseForward(spec string, dynamic, remote bool) (Forward, bool) {
	listen, target, err := tunnel.ParseSpec(spec, parsePort)
	if err != nil || dynamic != (target == tunnel.End{}) || listen.Path == "" && listen.Port == 0 && !remote {
		return Forward{}, false
	}
	return Forward{
		ListenHost: listen.Host, ListenAll: listen.HasHost && listen.Host == "", ListenPort: listen.Port, ListenPath: listen.Path,
		TargetHost: target.Host, TargetPort: target.Port, TargetPath: target.Path,
	}, true
}
