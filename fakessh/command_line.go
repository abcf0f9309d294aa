package fakessh

import (
	"fmt"
	"strings"
	"time"
)

// CommandLine is a parsed command line of ssh. A zero value is that of an option that is not
// given.
type CommandLine struct {
	Host string // as written, without user and port
	User string // "" if none is given
	Port int    // 0 if none is given
	// Command is the command for the far side: the words, with spaces between them, as ssh
	// sends them. "" is a login shell.
	Command string

	Session   Session
	TTY       TTY
	StdinNull bool // -n: no standard input
	Fork      bool // -f: go on in the background
	// Local, Remote and Dynamic are -L, -R and -D in their order; a Remote
	// without a target is the dynamic form of -R.
	Local, Remote, Dynamic []Forward
	ExitOnForwardFailure   bool
	GatewayPorts           bool     // -g: listen on all addresses
	Family                 Family   // -4, -6: what is listened on at this side
	BindMask               int      // StreamLocalBindMask: what the permissions of sockets lack; -1 if none is given
	BindUnlink             bool     // StreamLocalBindUnlink: remove a socket that stands in the way
	Stdio                  *Forward // -W: what standard input and output are connected to
	Env                    []string // SetEnv: NAME=VALUE
	SendEnv                []string // patterns of names; '*' and '?' as in file names
	ForwardAgent           string   // -A: "yes", a socket, or $ and the variable that names one

	// Master is -M, and ControlPath the path of -S as it is written.
	Master      Master
	ControlPath string
	// Persist keeps an ssh master when its session has ended: until nothing has used it
	// for PersistTime, or for ever if that is 0.
	Persist     bool
	PersistTime time.Duration

	Action  Action
	Control string // -O: the word
	Query   string // -Q: the word
	LogFile string // -E
	Level   Level

	remoteCommand string          // RemoteCommand
	set           map[string]bool // what only counts the first time
	verbose       bool            // there was a -v
	clear         bool            // ClearAllForwardings
}

// Action is the kind of work that a command line asks for.
type Action uint8

// The actions.
const (
	Connect   Action = iota
	Version          // -V
	Configure        // -G: print what was understood
	Query            // -Q
	Control          // -O
)

// bindMaskOrDefault returns the permission bits that sockets lack.
func (l *CommandLine) bindMaskOrDefault() int {
	if l.BindMask < 0 {
		return 0o177
	}
	return l.BindMask
}

// Session is the kind of session that is asked for.
type Session uint8

// The sessions, in the words of SessionType.
const (
	SessionDefault   Session = iota // the command, or a login shell
	SessionSubsystem                // -s: the command is the name of one
	SessionNone                     // -N, -W
)

// String returns the word of ssh_config(5).
func (s Session) String() string { return [...]string{"default", "subsystem", "none"}[s] }

// TTY says whether the far side gets a terminal.
type TTY uint8

// The values of RequestTTY.
const (
	TTYAuto  TTY = iota // for a login shell, if there is one here
	TTYNo               // -T
	TTYYes              // -t: if there is one here
	TTYForce            // -tt
)

// String returns the word that ssh -G prints.
func (t TTY) String() string { return [...]string{"auto", "false", "true", "force"}[t] }

// Family is the kind of addresses to use.
type Family uint8

// The values of AddressFamily.
const (
	FamilyAny Family = iota
	FamilyIPv4
	FamilyIPv6
)

// String returns the word of ssh_config(5).
func (f Family) String() string { return [...]string{"any", "inet", "inet6"}[f] }

// network returns what package net calls TCP of a family.
func (f Family) network() string { return [...]string{"tcp", "tcp4", "tcp6"}[f] }

// Master says whether a call becomes an ssh master, which serves other calls at its
// ControlPath.
type Master uint8

// The values of ControlMaster.
const (
	MasterNo Master = iota
	MasterYes
	MasterAsk
	MasterAuto
	MasterAutoAsk
)

// String returns the word that ssh -G prints.
func (m Master) String() string { return [...]string{"false", "true", "ask", "auto", "autoask"}[m] }

// shares reports whether a call uses an ssh master that is there already.
func (m Master) shares() bool { return m != MasterYes && m != MasterAsk }

// Level is the LogLevel of ssh: how much it writes to standard error.
type Level int8

// The levels of LogLevel, in the order of OpenSSH. They begin at 1, so that 0 means that none is set.
const (
	LevelUnset Level = iota
	LevelQuiet
	LevelFatal
	LevelError
	LevelInfo
	LevelVerbose
	LevelDebug1
	LevelDebug2
	LevelDebug3
)

var levelNames = [...]string{"INFO", "SILENT", "FATAL", "ERROR", "INFO", "VERBOSE", "DEBUG", "DEBUG2", "DEBUG3"}

// String returns the word that ssh -G prints.
func (l Level) String() string { return levelNames[l] }

// Forward is one forwarding. A path stands for a Unix socket.
type Forward struct {
	ListenHost string // "" if none is given
	ListenAll  bool   // it is given, and empty: all addresses
	ListenPort int
	ListenPath string
	TargetHost string // "" for a dynamic one
	TargetPort int
	TargetPath string
}

// Dynamic reports whether clients name the target, by the SOCKS protocol.
func (f Forward) Dynamic() bool { return f.TargetHost == "" && f.TargetPath == "" }

// String returns what ssh -G prints.
func (f Forward) String() string {
	listen := f.ListenPath
	if listen == "" {
		listen = fmt.Sprint(f.ListenPort)
		if f.ListenHost != "" || f.ListenAll {
			listen = fmt.Sprintf("[%s]:%d", f.ListenHost, f.ListenPort)
		}
	}
	switch {
	case f.Dynamic():
		return listen
	case f.TargetPath != "":
		return listen + " " + f.TargetPath
	}
	return fmt.Sprintf("%s [%s]:%d", listen, f.TargetHost, f.TargetPort)
}

// UsageError is the error for a command line that ssh refuses, with the text that ssh prints.
// ssh then ends with status 255.
type UsageError struct{ Text string }

// Error implements error.
func (e *UsageError) Error() string { return e.Text }

func refuse(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

const usageText = `usage: ssh [-46AaCfGgKkMNnqsTtVvXxYy] [-B bind_interface] [-b bind_address]
           [-c cipher_spec] [-D [bind_address:]port] [-E log_file]
           [-e escape_char] [-F configfile] [-I pkcs11] [-i identity_file]
           [-J destination] [-L address] [-l login_name] [-m mac_spec]
           [-O ctl_cmd] [-o option] [-p port] [-Q query_option]
           [-R address] [-S ctl_path] [-W host:port] [-w local_tun[:remote_tun]]
           destination [command [argument ...]]`

// ParseCommandLine reads the arguments of ssh, without its name, as OpenSSH does. Options may
// be bundled, and have their value behind them or as the next argument. They stand before the
// destination or directly behind it, and the command follows. docs/fakessh.md has a table with
// the meaning of each.
//
// The error is an *[UsageError]. ParseCommandLine is pure: it reads no file, environment or
// configuration.
func ParseCommandLine(args []string) (*CommandLine, error) {
	l := &CommandLine{set: make(map[string]bool), BindMask: -1}
	rest, ended, err := l.options(args)
	if err != nil || l.immediate() {
		return l, err
	}
	if len(rest) == 0 {
		return nil, refuse("%s", usageText)
	}
	if err := l.destination(rest[0]); err != nil {
		return nil, err
	}
	if rest = rest[1:]; len(rest) > 0 && !ended {
		if rest, _, err = l.options(rest); err != nil || l.immediate() {
			return l, err
		}
	}
	if len(rest) > 0 && l.remoteCommand != "" && l.Action != Configure {
		return nil, refuse("Cannot execute command-line and remote command.")
	}
	if l.Command = l.remoteCommand; len(rest) > 0 {
		l.Command = strings.Join(rest, " ")
	}
	return l, l.finish()
}

// immediate reports whether the action makes ssh ignore the arguments that follow.
func (l *CommandLine) immediate() bool { return l.Action == Version || l.Action == Query }

// options reads options up to the first argument that is none, and reports whether that is
// behind a "--".
func (l *CommandLine) options(args []string) (rest []string, ended bool, err error) {
	i := 0
	for i < len(args) && len(args[i]) > 1 && args[i][0] == '-' {
		word := args[i]
		i++
		if word == "--" {
			break
		}
		for j := 1; j < len(word); j++ {
			o, ok := options[word[j]]
			if !ok {
				return nil, false, refuse("unknown option -- %c\n%s", word[j], usageText)
			}
			value := ""
			if o.valued {
				if value = word[j+1:]; value == "" {
					if i == len(args) {
						return nil, false, refuse("option requires an argument -- %c\n%s", word[j], usageText)
					}
					value = args[i]
					i++
				}
				j = len(word)
			}
			if o.do != nil {
				if err := o.do(l, value); err != nil {
					return nil, false, err
				}
			}
			if l.immediate() {
				return nil, false, nil
			}
		}
	}
	// Like ssh, which looks at the last word that it has read: a value "--"
	// counts, too.
	return args[i:], i > 0 && args[i-1] == "--", nil
}

// finish makes the checks that need the whole command line.
func (l *CommandLine) finish() error {
	if l.Session == SessionSubsystem && l.Command == "" {
		return refuse("You must specify a subsystem to invoke.\n%s", usageText)
	}
	if l.Fork && l.Session == SessionDefault && l.Command == "" && l.Action == Connect {
		return refuse("Cannot fork into background without a command to execute.")
	}
	if l.clear {
		l.Local, l.Remote, l.Dynamic = nil, nil, nil
	}
	return nil
}

// destination reads [user@]host or an ssh:// URI. Options in front of it take precedence.
func (l *CommandLine) destination(s string) error {
	user, host, port, ok := parseURI(s)
	if !ok {
		return refuse("%s", usageText)
	}
	if host == "" {
		host = s
		if at := strings.LastIndexByte(s, '@'); at == 0 {
			return refuse("%s", usageText)
		} else if at > 0 {
			user, host = s[:at], s[at+1:]
		}
	}
	if l.User == "" {
		l.User = user
	}
	if l.Port == 0 {
		l.Port = port
	}
	if host == "" || strings.HasPrefix(host, "-") {
		return refuse("hostname contains invalid characters")
	}
	l.Host = host
	return nil
}

// parseURI reads ssh://[user[;parameters]@]host[:port][/]. It returns "" as host if the text is
// no such URI.
func parseURI(s string) (user, host string, port int, ok bool) {
	rest, isURI := strings.CutPrefix(s, "ssh://")
	if !isURI {
		return "", "", 0, true
	}
	rest, path, _ := strings.Cut(rest, "/")
	if path != "" || rest == "" {
		return "", "", 0, false
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, _, _ = strings.Cut(rest[:at], ";")
		if user, ok = unescape(user); !ok || user == "" {
			return "", "", 0, false
		}
		rest = rest[at+1:]
	}
	host = rest
	var digits string
	hasPort := false
	if inner, found := strings.CutPrefix(rest, "["); found {
		if host, digits, found = strings.Cut(inner, "]"); !found {
			return "", "", 0, false
		}
		if digits, hasPort = strings.CutPrefix(digits, ":"); !hasPort && digits != "" {
			return "", "", 0, false
		}
	} else {
		host, digits, hasPort = strings.Cut(rest, ":")
	}
	if hasPort && digits != "" {
		var err error
		if port, err = parsePort(digits); err != nil || port == 0 {
			return "", "", 0, false
		}
	}
	return user, host, port, host != ""
}

// unescape reads the %XX of a URI.
func unescape(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		var c byte
		if i+2 >= len(s) {
			return "", false
		}
		if _, err := fmt.Sscanf(s[i+1:i+3], "%02x", &c); err != nil || c == 0 {
			return "", false
		}
		b.WriteByte(c)
		i += 2
	}
	return b.String(), true
}
