// Package ssh reaches hosts by a client of the SSH protocol inside the process: see
// [Login]. Files of configuration, agents, keys and known_hosts are those of ssh(1).
//
// The client is a sixth of an image. A program that imports this package carries it, and
// so do all of its copies.
package ssh

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/sshconfig"
)

// Login reaches a host by a client of the SSH protocol inside this process: no
// ssh program is needed, no process is started, and a key or password never
// leaves the context that connects.
//
// The zero value of everything but Host does what `ssh HOST` would: the user's
// configuration is read (by asking `ssh -G` where it says anything that
// counts), the agent and the usual key files are tried, the host must be in
// known_hosts. What is set here comes before the configuration.
//
// docs/ssh_config.md lists every keyword of ssh_config(5): most are honoured, some
// mean nothing for a hop, and the few others lead to an error or to a line in the
// log. For those there is [openssh.Login].
//
// Errors: [connect.ErrHostKeyUnknown], [connect.ErrHostKeyChanged], [ErrHostKeyRevoked],
// [ErrHostCertificate] and its kinds, [connect.ErrPassword],
// [connect.ErrPasswordRequired], [connect.ErrPermission] with the list of what was tried,
// [connect.ErrRefused], [connect.ErrUnreachable], [connect.ErrNoHost], [connect.ErrTimeout] with the phase, [connect.ErrStart],
// [connect.ErrEOF], [connect.ErrBadName].
type Login struct {
	// Where to. Host may be an alias of the configuration, or an IP address
	// without brackets. User and Port default to the configuration's, then
	// to our own name and 22.
	Host string
	User string
	Port int

	// Who we are. Tried in this order: certificates, agent keys that are
	// named here or in the configuration, keys named there that are in files, other
	// agent keys, the usual files in ~/.ssh (left out where IdentityFiles or Keys is
	// set); then keyboard-interactive, then the password.
	//
	// A password that is not given is asked through OpenRequest.Prompt, and so
	// is the passphrase of a key, once the server has agreed to the key, and whatever
	// the server asks beside them.
	Password       connect.Secret
	Passphrase     connect.Secret   // of the key files and Keys that are encrypted
	IdentityFiles  []string         // "~/" is the user's home
	Keys           []connect.Secret // private keys in PEM form
	Certificates   []string         // files, or lines of the form "ssh-...-cert-v01@openssh.com AAAA..."
	IdentitiesOnly bool             // offer no agent key but those named here or in the configuration
	AgentSocket    string           // instead of IdentityAgent and $SSH_AUTH_SOCK
	NoAgent        bool
	// ForwardAgent lets programs at the far side use our agent for as long as the
	// hop lives. Whoever is root there can use it, too.
	ForwardAgent bool

	// Who they are. KnownHostsFiles replaces the user's and the system's
	// files; new hosts are added to the first. HostKeyAlias is the name
	// to look up instead of the host's. RevokedHostKeys are files of public keys,
	// or key revocation lists of ssh-keygen -k, whose keys are refused whatever the
	// policy; so is every host where one can't be read.
	HostKeys        connect.HostKeyPolicy
	KnownHostsFiles []string
	HostKeyAlias    string
	RevokedHostKeys []string

	// How to get there. Every entry of ProxyJump is reached through the one
	// before it, with its own user, port, keys and known hosts; its
	// encryption ends there, ours does not. ConfigFile, NoConfig, KnownHostsFiles and
	// RevokedHostKeys are ours where it has none. ProxyCommand is a shell command
	// whose standard input and output lead to the server; "none"
	// switches off the configuration's ProxyJump and ProxyCommand.
	// Through opens the first connection, and with it the configuration's
	// proxies, meant for this host, don't count. Where another context makes
	// the hop it has to be a node of the tree, which is handed on to that one.
	ProxyJump    []Login
	ProxyCommand string
	Through      connect.Dialer `cbor:"-"`

	// ConnectTimeout bounds what comes before authentication (dialling, key
	// exchange): 0 means the configuration's or 30 s, negative no bound but
	// the context's. Waiting for our turn does not count.
	ConnectTimeout time.Duration

	// A server that has sent nothing for Keepalive is asked for a sign of
	// life, and given up after KeepaliveCount unanswered intervals.
	// 0 means the configuration's or 15 s and 3; negative switches it off.
	Keepalive      time.Duration
	KeepaliveCount int

	// ConfigFile replaces the user's and the system's configuration; "" is
	// those, "none" (or NoConfig) reads none at all.
	ConfigFile string
	NoConfig   bool

	// Algorithms in order of preference, by their names in the protocol;
	// empty means the configuration's or, of those that OpenSSH offers, all that
	// golang.org/x/crypto/ssh has. There is no compression.
	KeyExchanges      []string
	Ciphers           []string
	MACs              []string
	HostKeyAlgorithms []string
}

func init() {
	connect.Register[Login]("ssh")
	connect.RegisterSyntax("ssh", func(arg string) (connect.Method, error) {
		jumps, to, err := sshconfig.ParseJumped(arg)
		s := toMethod(to)
		for _, jump := range jumps {
			s.ProxyJump = append(s.ProxyJump, toMethod(jump))
		}
		return s, err
	})
}

func toMethod(d sshconfig.Destination) Login { return Login{Host: d.Host, User: d.User, Port: d.Port} }

// Label is "ssh:user@host:port" without the parts that are not set, and with the jump
// hosts of ProxyJump in front, a comma behind each.
func (s Login) Label() string { return "ssh:" + destinations(append(s.allJumps(0), s)) }

// allJumps are the jump hosts in the order in which they are passed. The first may
// have some of its own.
func (s Login) allJumps(depth int) []Login {
	if len(s.ProxyJump) == 0 || depth > maxJumpDepth {
		return nil
	}
	return append(s.ProxyJump[0].allJumps(depth+1), s.ProxyJump...)
}

// destinations is a list as ssh takes it behind -J.
func destinations(hosts []Login) string {
	var names []string
	for _, host := range hosts {
		names = append(names, host.destination())
	}
	return strings.Join(names, ",")
}

func (s Login) destination() string {
	return sshconfig.Destination{User: s.User, Host: s.Host, Port: s.Port}.String()
}

// Traits implements Method.
func (Login) Traits() connect.Traits { return connect.Traits{Remote: true} }

// Open connects, authenticates and starts e.Line by the login shell. All of that
// is bounded by ctx, and has been undone when Open returns an error. With e.Early
// a server that refuses the command ends the pipe instead.
func (s Login) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	return s.openFrom(ctx, e, sshconfig.DefaultPlaces())
}

// openFrom is Open with the machine's files taken from elsewhere.
func (s Login) openFrom(ctx context.Context, e *connect.OpenRequest, places sshconfig.Places) (bootstrap.Carrier, error) {
	d := &dial{env: e, label: s.Label(), places: places}
	client, err := d.connect(ctx, s, nil, 0)
	if err != nil {
		return nil, err
	}
	carrier, err := d.start(ctx, client, e.CommandLine)
	if err != nil {
		client.close()
		return nil, err
	}
	return carrier, nil
}

// parseJumps reads the value of the configuration's ProxyJump:
// [user@]host[:port] or ssh://[user@]host[:port], separated by commas. The tokens
// in it stand for the host that is reached through them.
func parseJumps(list string, tokens *sshconfig.Tokens) ([]Login, error) {
	if list == "" || strings.EqualFold(list, "none") {
		return nil, nil
	}
	var jumps []Login
	for text := range strings.SplitSeq(list, ",") {
		text, err := tokens.ExpandJump(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("ProxyJump: %w", err)
		}
		jump, err := parseDestination(text)
		if err != nil {
			return nil, err
		}
		jumps = append(jumps, jump)
	}
	return jumps, nil
}

func parseDestination(text string) (Login, error) {
	rest := strings.TrimSuffix(strings.TrimPrefix(text, "ssh://"), "/")
	var s Login
	// The last @ separates: a user name may contain one.
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		s.User, rest = rest[:i], rest[i+1:]
		if s.User == "" {
			return s, badDestination(text)
		}
	}
	port := ""
	switch {
	case strings.HasPrefix(rest, "["):
		host, after, ok := strings.Cut(rest[1:], "]")
		if !ok || (after != "" && after[0] != ':') {
			return s, badDestination(text)
		}
		s.Host, port = host, strings.TrimPrefix(after, ":")
		if after == ":" {
			return s, badDestination(text)
		}
	case strings.Count(rest, ":") == 1:
		s.Host, port, _ = strings.Cut(rest, ":")
		if port == "" {
			return s, badDestination(text)
		}
	default:
		s.Host = rest // a name, or an IPv6 address without a port
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return s, badDestination(text)
		}
		s.Port = int(n)
	}
	if s.Host == "" {
		return s, badDestination(text)
	}
	return s, nil
}

// ThroughDialer implements ThroughMethod: it is what the first connection is
// opened by, be it that of the first jump host.
func (s Login) ThroughDialer() connect.Dialer {
	if len(s.ProxyJump) > 0 {
		if d := s.ProxyJump[0].ThroughDialer(); d != nil {
			return d
		}
	}
	return s.Through
}

// WithThrough implements ThroughMethod.
func (s Login) WithThrough(d connect.Dialer) connect.Method {
	s.Through = d
	return s
}
