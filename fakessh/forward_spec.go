package fakessh

import (
	"strconv"
	"strings"

	"github.com/mitosis-go/mitosis/internal/tunnel"
)

// services are the names of ports that are known here; ssh looks them up in
// /etc/services.
var services = map[string]int{
	"ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "http": 80, "imap2": 143, "ldap": 389, "https": 443,
	"ldaps": 636, "imaps": 993, "mysql": 3306, "postgresql": 5432,
}

// parsePort returns -1 for what is no port.
func parsePort(s string) int {
	if port, ok := services[s]; ok {
		return port
	}
	if s == "" {
		return -1
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return -1
		}
	}
	n, err := strconv.Atoi(s)
	if err != nil || n > 65535 {
		return -1
	}
	return n
}

// parseForward reads [host:]port, and unless it is a dynamic one :host:port behind
// it; Unix sockets stand in place of both. The far side may choose a port.
func parseForward(spec string, dynamic, remote bool) (Forward, bool) {
	var f Forward
	fields, ok := forwardFields(strings.TrimLeft(spec, " \t\n\v\f\r"))
	if !ok {
		return f, false
	}
	listen := func(host string, port string) { f.ListenHost, f.ListenPort = host, parsePort(port) }
	listenOn := func(host string, port string) {
		listen(host, port)
		f.ListenAll = host == ""
	}
	target := func(host string, port string) { f.TargetHost, f.TargetPort = host, parsePort(port) }
	socks := false
	a := fields
	switch {
	case len(a) == 1 && a[0].isPath:
		f.ListenPath, socks = a[0].text, true
	case len(a) == 1:
		listen("", a[0].text)
		socks = true
	case len(a) == 2 && a[0].isPath && a[1].isPath:
		f.ListenPath, f.TargetPath = a[0].text, a[1].text
	case len(a) == 2 && a[1].isPath:
		listen("", a[0].text)
		f.TargetPath = a[1].text
	case len(a) == 2:
		listenOn(a[0].text, a[1].text)
		socks = true
	case len(a) == 3 && a[0].isPath:
		f.ListenPath = a[0].text
		target(a[1].text, a[2].text)
	case len(a) == 3 && a[2].isPath:
		listenOn(a[0].text, a[1].text)
		f.TargetPath = a[2].text
	case len(a) == 3:
		listen("", a[0].text)
		target(a[1].text, a[2].text)
	case len(a) == 4:
		listenOn(a[0].text, a[1].text)
		target(a[2].text, a[3].text)
	default:
		return f, false
	}
	switch {
	case dynamic != socks:
		return f, false
	case !socks && f.TargetPath == "" && (f.TargetPort <= 0 || f.TargetHost == ""):
		return f, false
	case f.ListenPath == "" && (f.ListenPort < 0 || f.ListenPort == 0 && !remote):
		return f, false
	}
	return f, true
}

// forwardFields takes a specification apart. As for ssh, a colon at its end is nothing.
func forwardFields(s string) ([]forwardField, bool) {
	texts, err := tunnel.Fields(s)
	if n := len(texts) - 1; err == nil && texts[n] == "" && !strings.HasSuffix(s, "[]") {
		texts = texts[:n]
	}
	if err != nil || len(texts) == 0 || len(texts) > 4 {
		return nil, false
	}
	var fields []forwardField
	for _, text := range texts {
		fields = append(fields, forwardField{text, strings.Contains(text, "/")})
	}
	return fields, true
}

type forwardField struct {
	text   string
	isPath bool
}
