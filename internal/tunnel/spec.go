package tunnel

import (
	"errors"
	"fmt"
	"strings"
)

// An End is where a forwarding takes connections, or where it leads: a host and a port, or
// the path of a Unix socket. The zero End is none.
type End struct {
	Host    string
	HasHost bool // Host was given; an empty one stands for all addresses
	Port    int
	Path    string // with a slash in it, or ""
}

// ParseSpec reads what stands behind -L, -R, -D or -W: one end or two, with a colon between
// them. An end is [HOST:]PORT or a path. The second end, the target, has a host and a port
// other than 0; there is none where only one end is given. Brackets keep the colons of an
// IPv6 address, a backslash keeps any character.
//
// parsePort reads a port, which may be 0, or says why it is none: ssh takes names of services.
func ParseSpec(spec string, parsePort func(string) (int, error)) (listen, target End, err error) {
	spec = strings.TrimLeft(spec, " \t\n\v\f\r")
	rest, err := fields(spec)
	if err != nil {
		return End{}, End{}, err
	}
	if last := len(rest) - 1; last > 0 && rest[last] == "" && !strings.HasSuffix(spec, "[]") {
		rest = rest[:last] // for ssh, too, a colon at the end is nothing
	}
	var ends []End
	for len(rest) > 0 {
		var e End
		switch {
		case isPath(rest[0]):
			e.Path, rest = rest[0], rest[1:]
			ends = append(ends, e)
			continue
		case len(ends) == 0:
			// Where a host stands in front of the port, the target or the end comes behind both.
			n := len(rest)
			e.HasHost = n == 2 && !isPath(rest[1]) || n == 3 && isPath(rest[2]) || n > 3
		case len(rest) < 2:
			return End{}, End{}, errors.New("a target is HOST:PORT or the path of a socket")
		case rest[0] == "":
			return End{}, End{}, errors.New("the target has no host")
		default:
			e.HasHost = true
		}
		if e.HasHost {
			e.Host, rest = rest[0], rest[1:]
		}
		if e.Port, err = parsePort(rest[0]); err == nil && e.Port == 0 && len(ends) > 0 {
			err = fmt.Errorf("%q is not a port", rest[0])
		}
		if err != nil {
			return End{}, End{}, err
		}
		ends, rest = append(ends, e), rest[1:]
	}
	switch len(ends) {
	case 1:
		return ends[0], End{}, nil
	case 2:
		return ends[0], ends[1], nil
	}
	return End{}, End{}, errors.New("there are too many fields")
}

func isPath(field string) bool { return strings.Contains(field, "/") }

// fields takes a specification apart at its colons, but not at those in brackets and
// behind a backslash. What is behind the last colon is a field, too.
func fields(spec string) ([]string, error) {
	var fields []string
	for {
		var field string
		if inner, ok := strings.CutPrefix(spec, "["); ok {
			var closed bool
			if field, spec, closed = strings.Cut(inner, "]"); !closed || spec != "" && spec[0] != ':' {
				return nil, errors.New("a bracket is not closed, or not at the end of a field")
			}
		} else {
			var b strings.Builder
			for spec != "" && spec[0] != ':' {
				if spec[0] == '\\' {
					if spec = spec[1:]; spec == "" {
						return nil, errors.New("nothing is behind the last backslash")
					}
				}
				b.WriteByte(spec[0])
				spec = spec[1:]
			}
			field = b.String()
		}
		fields = append(fields, field)
		if spec == "" {
			return fields, nil
		}
		spec = spec[1:]
	}
}
