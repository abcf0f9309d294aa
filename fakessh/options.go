package fakessh

import "slices"

// option is one of the letters of ssh.
type option struct {
	valued bool
	// do stores the option. It is nil for options that are ignored: those about how a
	// connection is made, since there is one.
	do func(l *CommandLine, value string) error
}

// options has all letters of OpenSSH 9.2. A test compares it with the table in
// docs/fakessh.md.
var options map[byte]option

func init() {
	options = map[byte]option{
		'1': {do: func(*CommandLine, string) error { return refuse("SSH protocol v.1 is no longer supported") }},
		'2': {}, 'C': {}, 'K': {}, 'k': {}, 'P': {}, 'X': {}, 'x': {}, 'Y': {}, 'y': {},
		'B': {valued: true}, 'b': {valued: true}, 'c': {valued: true}, 'F': {valued: true}, 'I': {valued: true},
		'i': {valued: true}, 'm': {valued: true},

		'4': {do: func(l *CommandLine, _ string) error { l.Family = FamilyIPv4; l.first("addressfamily"); return nil }},
		'6': {do: func(l *CommandLine, _ string) error { l.Family = FamilyIPv6; l.first("addressfamily"); return nil }},

		'A': {do: func(l *CommandLine, _ string) error { l.ForwardAgent = "yes"; l.first("forwardagent"); return nil }},
		'a': {do: func(l *CommandLine, _ string) error { l.ForwardAgent = ""; l.first("forwardagent"); return nil }},

		'D': {valued: true, do: func(l *CommandLine, v string) error {
			return addForward(&l.Dynamic, v, true, false, "dynamic forwarding specification")
		}},
		'E': {valued: true, do: func(l *CommandLine, v string) error { l.LogFile = v; return nil }},
		'e': {valued: true, do: func(_ *CommandLine, v string) error {
			if len(v) == 1 || v == "none" || len(v) == 2 && v[0] == '^' && v[1] >= 64 && v[1] < 128 {
				return nil
			}
			return refuse("Bad escape character '%s'.", v)
		}},
		'f': {do: func(l *CommandLine, _ string) error {
			l.Fork, l.StdinNull = true, true
			l.first("forkafterauthentication")
			l.first("stdinnull")
			return nil
		}},
		'G': {do: func(l *CommandLine, _ string) error { l.Action = Configure; return nil }},
		'g': {do: func(l *CommandLine, _ string) error { l.GatewayPorts = true; l.first("gatewayports"); return nil }},
		'J': {valued: true, do: func(l *CommandLine, _ string) error {
			if !l.first("proxyjump") {
				return refuse("Only a single -J option is permitted (use commas to separate multiple jump hops)")
			}
			return nil
		}},
		'L': {valued: true, do: func(l *CommandLine, v string) error {
			return addForward(&l.Local, v, false, false, "local forwarding specification")
		}},
		'l': {valued: true, do: func(l *CommandLine, v string) error {
			if l.User == "" {
				l.User = v
			}
			return nil
		}},
		'M': {do: func(l *CommandLine, _ string) error {
			if l.Master == MasterYes {
				l.Master = MasterAsk
			} else {
				l.Master = MasterYes
			}
			l.first("controlmaster")
			return nil
		}},
		'N': {do: func(l *CommandLine, _ string) error {
			l.TTY = TTYNo
			l.first("requesttty")
			return l.setSession(SessionNone, "Cannot specify -N with -s/SessionType")
		}},
		'n': {do: func(l *CommandLine, _ string) error { l.StdinNull = true; l.first("stdinnull"); return nil }},
		'O': {valued: true, do: (*CommandLine).control},
		'o': {valued: true, do: (*CommandLine).keyword},
		'p': {valued: true, do: func(l *CommandLine, v string) error {
			if l.Port != 0 {
				return nil
			}
			port, err := parsePort(v)
			if err != nil || port == 0 {
				return refuse("Bad port '%s'", v)
			}
			l.Port = port
			return nil
		}},
		'Q': {valued: true, do: func(l *CommandLine, v string) error { l.Action, l.Query = Query, v; return nil }},
		'q': {do: func(l *CommandLine, _ string) error { l.Level = LevelQuiet; return nil }},
		'R': {valued: true, do: func(l *CommandLine, v string) error {
			if addForward(&l.Remote, v, false, true, "") == nil {
				return nil
			}
			return addForward(&l.Remote, v, true, true, "remote forwarding specification")
		}},
		'S': {valued: true, do: func(l *CommandLine, v string) error { l.ControlPath = v; l.first("controlpath"); return nil }},
		's': {do: func(l *CommandLine, _ string) error {
			return l.setSession(SessionSubsystem, "Cannot specify -s with -N/-SessionType")
		}},
		'T': {do: func(l *CommandLine, _ string) error { l.TTY = TTYNo; l.first("requesttty"); return nil }},
		't': {do: func(l *CommandLine, _ string) error {
			if l.TTY == TTYYes {
				l.TTY = TTYForce
			} else {
				l.TTY = TTYYes
			}
			l.first("requesttty")
			return nil
		}},
		'V': {do: func(l *CommandLine, _ string) error { l.Action = Version; return nil }},
		'v': {do: func(l *CommandLine, _ string) error {
			if !l.verbose {
				l.verbose, l.Level = true, LevelDebug1
			} else if l.Level < LevelDebug3 {
				l.Level++
			}
			return nil
		}},
		'W': {valued: true, do: (*CommandLine).stdio},
		'w': {valued: true, do: func(*CommandLine, string) error { return refuse("Tunnel device forwarding is not possible here.") }},
	}
}

// first reports whether a setting is given for the first time. Later values don't count.
func (l *CommandLine) first(what string) bool {
	if l.set[what] {
		return false
	}
	l.set[what] = true
	return true
}

func (l *CommandLine) setSession(s Session, conflict string) error {
	if !l.first("sessiontype") && l.Session != s {
		return refuse("%s", conflict)
	}
	l.Session = s
	return nil
}

func addForward(list *[]Forward, spec string, dynamic, remote bool, what string) error {
	f, ok := parseForward(spec, dynamic, remote)
	if !ok {
		return refuse("Bad %s '%s'", what, spec)
	}
	if !slices.Contains(*list, f) { // as ssh does it, so that it can be listened on once
		*list = append(*list, f)
	}
	return nil
}

func (l *CommandLine) control(word string) error {
	switch {
	case l.Stdio != nil:
		return refuse("Cannot specify multiplexing command with -W")
	case l.Control != "":
		return refuse("Multiplexing command already specified")
	}
	switch word {
	case "check", "forward", "exit", "stop", "cancel", "proxy":
	default:
		return refuse("Invalid multiplex command.")
	}
	l.Control = word
	if l.Action == Connect {
		l.Action = Control
	}
	return nil
}

func (l *CommandLine) stdio(spec string) error {
	switch {
	case l.Stdio != nil:
		return refuse("stdio forward already specified")
	case l.Control != "":
		return refuse("Cannot specify stdio forward with -O")
	}
	f, ok := parseForward(spec, true, false)
	if !ok {
		return refuse("Bad stdio forwarding specification '%s'", spec)
	}
	l.Stdio = &Forward{TargetHost: f.ListenHost, TargetPort: f.ListenPort, TargetPath: f.ListenPath}
	l.Session, l.TTY = SessionNone, TTYNo
	l.first("sessiontype")
	l.first("requesttty")
	// Only if they were not set before.
	if l.first("clearallforwardings") {
		l.clear = true
	}
	if l.first("exitonforwardfailure") {
		l.ExitOnForwardFailure = true
	}
	return nil
}
