package fakessh

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ignoredKeywords are the keywords of ssh_config(5) that are about how a connection is made and
// kept, about this side, or obsolete.
var ignoredKeywords = strings.Fields(`
	addkeystoagent afstokenpassing batchmode bindaddress bindinterface canonicaldomains
	canonicalizefallbacklocal canonicalizehostname canonicalizemaxdots canonicalizepermittedcnames
	casignaturealgorithms certificatefile challengeresponseauthentication checkhostip cipher ciphers compression
	compressionlevel connectionattempts connecttimeout dsaauthentication
	enableescapecommandline enablesshkeysign escapechar fallbacktorsh fingerprinthash forwardx11
	forwardx11timeout forwardx11trusted globalknownhostsfile globalknownhostsfile2 gssapiauthentication
	gssapiclientidentity gssapidelegatecredentials gssapikexalgorithms gssapikeyexchange gssapirenewalforcesrekey
	gssapiserveridentity gssapitrustdns hashknownhosts host hostbasedacceptedalgorithms hostbasedauthentication
	hostbasedkeytypes hostkeyalgorithms hostkeyalias hostname identitiesonly identityagent identityfile identityfile2
	ignoreunknown include ipqos kbdinteractiveauthentication kbdinteractivedevices kerberosauthentication
	kerberostgtpassing kexalgorithms keepalive knownhostscommand localcommand logverbose macs match
	nohostauthenticationforlocalhost numberofpasswordprompts passwordauthentication permitlocalcommand
	permitremoteopen pkcs11provider preferredauthentications protocol protocolkeepalives proxycommand proxyjump
	proxyusefdpass pubkeyacceptedalgorithms pubkeyacceptedkeytypes pubkeyauthentication rekeylimit requiredrsasize
	revokedhostkeys rhostsauthentication rhostsrsaauthentication rsaauthentication securitykeyprovider
	serveralivecountmax serveraliveinterval setuptimeout skeyauthentication smartcarddevice
	stricthostkeychecking syslogfacility tcpkeepalive tisauthentication tunnel tunneldevice
	updatehostkeys useblacklistedkeys userknownhostsfile userknownhostsfile2 useprivilegedport useroaming usersh
	verifyhostkeydns visualhostkey xauthlocation`)

// keyword stores the setting of an -o: a keyword and, behind blanks or an equals sign, its
// value.
func (l *CommandLine) keyword(text string) error {
	name, value := splitKeyword(text)
	if name == "" || name[0] == '#' {
		return nil
	}
	do, acted := keywords[name]
	if !acted && !slices.Contains(ignoredKeywords, name) {
		return refuse("command-line: line 0: Bad configuration option: %s\ncommand-line: terminating, 1 bad configuration options", name)
	}
	words, ok := splitWords(value)
	if !ok || len(words) == 0 || words[0] == "" {
		return refuse("command-line line 0: missing argument.")
	}
	if !acted {
		return nil
	}
	if name == "remotecommand" {
		words = []string{value}
	}
	return do(l, name, words)
}

// splitKeyword returns the keyword, in lower case, and its value.
func splitKeyword(text string) (name, value string) {
	const blank = " \t\r\n\f"
	text = strings.Trim(text, blank)
	end := strings.IndexAny(text, blank+"=")
	if end < 0 {
		return strings.ToLower(text), ""
	}
	value = strings.TrimLeft(text[end:], blank)
	value = strings.TrimLeft(strings.TrimPrefix(value, "="), blank)
	return strings.ToLower(text[:end]), value
}

// splitWords splits at blanks; quotes protect them, and backslashes quotes.
func splitWords(s string) (words []string, ok bool) {
	var b strings.Builder
	var quote byte
	in := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s) && (s[i+1] == '\'' || s[i+1] == '"' || s[i+1] == '\\' || quote == 0 && s[i+1] == ' '):
			i++
			in = true
			b.WriteByte(s[i])
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, in = c, true
		case quote == 0 && (c == ' ' || c == '\t'):
			if in {
				words = append(words, b.String())
				b.Reset()
				in = false
			}
		case quote == 0 && c == '#' && !in:
			return words, true
		default:
			in = true
			b.WriteByte(c)
		}
	}
	if in {
		words = append(words, b.String())
	}
	return words, quote == 0
}

// keywords are the keywords that have an effect.
var keywords map[string]func(l *CommandLine, name string, words []string) error

func init() {
	keywords = map[string]func(l *CommandLine, name string, words []string) error{
		"user": one(func(l *CommandLine, v string) error {
			if l.User == "" {
				l.User = v
			}
			return nil
		}),
		"port": one(func(l *CommandLine, v string) error {
			port, err := parsePort(v)
			if err != nil || port == 0 {
				return refuse("command-line line 0: Bad number '%s'.", v)
			}
			if l.Port == 0 {
				l.Port = port
			}
			return nil
		}),
		"requesttty": choice(map[string]TTY{"yes": TTYYes, "true": TTYYes, "no": TTYNo, "false": TTYNo, "force": TTYForce, "auto": TTYAuto},
			func(l *CommandLine) *TTY { return &l.TTY }),
		"sessiontype": choice(map[string]Session{"none": SessionNone, "subsystem": SessionSubsystem, "default": SessionDefault},
			func(l *CommandLine) *Session { return &l.Session }),
		"loglevel": one(func(l *CommandLine, v string) error {
			level, ok := logLevels[strings.ToUpper(v)]
			if !ok {
				return refuse("command-line line 0: unsupported log level '%s'", v)
			}
			if l.Level == LevelUnset {
				l.Level = level
			}
			return nil
		}),
		"addressfamily": choice(map[string]Family{"inet": FamilyIPv4, "inet6": FamilyIPv6, "any": FamilyAny},
			func(l *CommandLine) *Family { return &l.Family }),
		"controlmaster": choice(map[string]Master{"yes": MasterYes, "true": MasterYes, "no": MasterNo, "false": MasterNo,
			"ask": MasterAsk, "auto": MasterAuto, "autoask": MasterAutoAsk},
			func(l *CommandLine) *Master { return &l.Master }),
		"controlpath": func(l *CommandLine, name string, w []string) error {
			return one(func(l *CommandLine, v string) error {
				if l.first(name) {
					l.ControlPath = v
				}
				return nil
			})(l, name, w)
		},
		"controlpersist": func(l *CommandLine, name string, w []string) error {
			return one(func(l *CommandLine, v string) error { return l.persist(name, v) })(l, name, w)
		},
		"streamlocalbindmask":     one((*CommandLine).bindMask),
		"streamlocalbindunlink":   flag(func(l *CommandLine) *bool { return &l.BindUnlink }),
		"stdinnull":               flag(func(l *CommandLine) *bool { return &l.StdinNull }),
		"forkafterauthentication": flag(func(l *CommandLine) *bool { return &l.Fork }),
		"exitonforwardfailure":    flag(func(l *CommandLine) *bool { return &l.ExitOnForwardFailure }),
		"gatewayports":            flag(func(l *CommandLine) *bool { return &l.GatewayPorts }),
		"clearallforwardings":     flag(func(l *CommandLine) *bool { return &l.clear }),
		"localforward": func(l *CommandLine, _ string, w []string) error {
			if len(w) != 2 {
				return refuse("command-line line 0: Bad forwarding specification.")
			}
			return addForward(&l.Local, strings.Join(w, ":"), false, false, "forwarding specification")
		},
		"remoteforward": func(l *CommandLine, _ string, w []string) error {
			if len(w) > 2 {
				return refuse("command-line line 0: Bad forwarding specification.")
			}
			return addForward(&l.Remote, strings.Join(w, ":"), len(w) == 1, true, "forwarding specification")
		},
		"dynamicforward": one(func(l *CommandLine, v string) error {
			return addForward(&l.Dynamic, v, true, false, "forwarding specification")
		}),
		"remotecommand": func(l *CommandLine, name string, w []string) error {
			if l.first(name) && !strings.EqualFold(w[0], "none") {
				l.remoteCommand = w[0]
			}
			return nil
		},
		"forwardagent": one(func(l *CommandLine, v string) error {
			switch {
			case !l.first("forwardagent"), strings.EqualFold(v, "no"), strings.EqualFold(v, "false"):
			case strings.EqualFold(v, "true"):
				l.ForwardAgent = "yes"
			default:
				l.ForwardAgent = v // "yes", a socket, or a variable that names one
			}
			return nil
		}),
		"setenv": func(l *CommandLine, name string, w []string) error {
			if !l.first(name) {
				return nil
			}
			for _, e := range w {
				if !strings.Contains(e, "=") || e[0] == '=' {
					return refuse("command-line line 0: Invalid SetEnv.")
				}
				l.Env = append(l.Env, e)
			}
			return nil
		},
		"sendenv": func(l *CommandLine, _ string, w []string) error {
			for _, p := range w {
				if strings.Contains(p, "=") {
					return refuse("command-line line 0: Invalid environment name.")
				}
				l.SendEnv = append(l.SendEnv, p)
			}
			return nil
		},
	}
}

// persist reads the value of ControlPersist.
func (l *CommandLine) persist(name, v string) error {
	yes, idle := v == "yes" || v == "true", time.Duration(0)
	if !yes && v != "no" && v != "false" {
		var ok bool
		if idle, ok = parseTime(v); !ok {
			return refuse("command-line line 0: Bad ControlPersist argument.")
		}
		yes = true
	}
	if l.first(name) {
		l.Persist, l.PersistTime = yes, idle
	}
	return nil
}

// parseTime reads a time of sshd_config(5): numbers with units behind them, or of seconds.
func parseTime(s string) (time.Duration, bool) {
	units := map[byte]time.Duration{
		's': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour,
	}
	total := time.Duration(0)
	for s != "" {
		digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
		n, err := strconv.ParseInt(s[:digits], 10, 32)
		if err != nil {
			return 0, false
		}
		unit := time.Second
		if s = s[digits:]; s != "" {
			var ok bool
			if unit, ok = units[s[0]|0x20]; !ok {
				return 0, false
			}
			s = s[1:]
		}
		total += time.Duration(n) * unit
		if total < 0 || total/time.Second > math.MaxInt32 {
			return 0, false
		}
	}
	return total, true
}

// bindMask reads the value of StreamLocalBindMask as strtol does. The last one counts, in
// ssh as well.
func (l *CommandLine) bindMask(v string) error {
	digits := len(v) - len(strings.TrimLeft(v, "01234567"))
	mask, err := strconv.ParseUint(v[:digits], 8, 32)
	if err != nil || mask > 0o777 {
		return refuse("command-line line 0: Bad mask.")
	}
	l.BindMask = int(mask)
	return nil
}

var logLevels = map[string]Level{
	"SILENT": LevelQuiet, "QUIET": LevelQuiet, "FATAL": LevelFatal, "ERROR": LevelError, "INFO": LevelInfo, "VERBOSE": LevelVerbose,
	"DEBUG": LevelDebug1, "DEBUG1": LevelDebug1, "DEBUG2": LevelDebug2, "DEBUG3": LevelDebug3,
}

// one is for keywords that take one word.
func one(do func(l *CommandLine, v string) error) func(*CommandLine, string, []string) error {
	return func(l *CommandLine, name string, words []string) error {
		if len(words) > 1 {
			return refuse("command-line line 0: keyword %s extra arguments at end of line", name)
		}
		return do(l, words[0])
	}
}

// choice is for keywords that take one of a few words, of which the first counts.
func choice[T any](values map[string]T, field func(*CommandLine) *T) func(*CommandLine, string, []string) error {
	return func(l *CommandLine, name string, words []string) error {
		return one(func(l *CommandLine, v string) error {
			value, ok := values[strings.ToLower(v)]
			if !ok {
				return refuse("command-line line 0: unsupported option \"%s\".", v)
			}
			if l.first(name) {
				*field(l) = value
			}
			return nil
		})(l, name, words)
	}
}

// flag is for yes and no. It does not switch off what an option has switched on.
func flag(field func(*CommandLine) *bool) func(*CommandLine, string, []string) error {
	return choice(map[string]bool{"yes": true, "true": true, "no": false, "false": false}, field)
}
