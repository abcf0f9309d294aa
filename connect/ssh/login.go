// Package ssh reaches hosts by a client of the SSH protocol inside the process: see [Login].
// It uses the configuration, the agent, the keys and the known_hosts of ssh(1).
//
// The client is a sixth of an image. A program that imports this package carries it, and so
// does each of its copies.
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

// Login reaches a host by a client of the SSH protocol inside this process. It needs no ssh
// program and starts no process, and keys and passwords never leave the context that makes
// the hop.
//
// With only Host set it does what `ssh HOST` does: it reads the user's configuration, tries
// the agent and the usual key files, and demands that the host is in known_hosts. If the
// configuration needs an ssh program to be understood, it asks `ssh -G`. Fields that are set
// override the configuration.
//
// docs/ssh_config.md lists every keyword of ssh_config(5): most are honoured, and some mean
// nothing for a hop. The few others lead to an error or a warning in the log; for these use
// [openssh.Login].
//
// Errors: [connect.ErrHostKeyUnknown], [connect.ErrHostKeyChanged], [ErrHostKeyRevoked],
// [ErrHostCertificate] and its kinds, [connect.ErrPassword], [connect.ErrPasswordRequired],
// [connect.ErrPermission] with a list of the keys and methods that were tried,
// [connect.ErrRefused], [connect.ErrUnreachable], [connect.ErrNoHost], [connect.ErrTimeout]
// with the phase, [connect.ErrStart], [connect.ErrEOF], [connect.ErrBadName].
type Login struct {
	// Host may be an alias of the configuration, or an IP address without brackets. User
	// and Port default to those of the configuration, then to the local user and 22.
	Host string
	User string
	Port int

	// How the user authenticates. In this order are tried: certificates; agent keys that
	// are named here or in the configuration; named keys in files; other agent keys; the
	// usual files in ~/.ssh, unless IdentityFiles or Keys is set; keyboard-interactive;
	// the password.
	//
	// A password that is not given is asked through OpenRequest.Prompt. So are the
	// passphrase of a key, once the server has accepted the key, and all other questions
	// of the server.
	Password       connect.Secret
	Passphrase     connect.Secret   // of encrypted key files and Keys
	IdentityFiles  []string         // "~/" is the user's home
	Keys           []connect.Secret // private keys in PEM form
	Certificates   []string         // files, or lines of the form "ssh-...-cert-v01@openssh.com AAAA..."
	IdentitiesOnly bool             // of the agent's keys, offer only those named here or in the configuration
	AgentSocket    string           // instead of IdentityAgent and $SSH_AUTH_SOCK
	NoAgent        bool
	// ForwardAgent lets programs at the far side use the agent while the hop lives. Root
	// there can use it, too.
	ForwardAgent bool

	// How the host is verified. KnownHostsFiles replaces the user's and the system's files;
	// new hosts are added to the first. HostKeyAlias is looked up in place of the host's
	// name. RevokedHostKeys are files of public keys, or key revocation lists of
	// ssh-keygen -k: their keys are refused under every policy. If such a file can't be
	// read, every host is refused.
	HostKeys        connect.HostKeyPolicy
	KnownHostsFiles []string
	HostKeyAlias    string
	RevokedHostKeys []string

	// How the host is reached. Each entry of ProxyJump is reached through the one before
	// it, with its own user, port, keys and known hosts. It sees only ciphertext of the
	// connections behind it. If it has no ConfigFile, NoConfig, KnownHostsFiles or
	// RevokedHostKeys, those of this Login hold, and so does HostKeys if that asks or
	// accepts new keys.
	//
	// ProxyCommand is a shell command whose standard input and output lead to the server;
	// "none" switches off ProxyJump and ProxyCommand of the configuration.
	//
	// Through opens the first connection. The proxies of the configuration are then not
	// used: they are meant for this host. If another context makes the hop, Through has to
	// be a node of the tree.
	ProxyJump    []Login
	ProxyCommand string
	Through      connect.Dialer `cbor:"-"`

	// ConnectTimeout bounds dialling and key exchange, but not authentication, nor the
	// wait for other handshakes. 0 means the configuration's or 30 s; negative means that
	// only ctx bounds it.
	ConnectTimeout time.Duration

	// If the server sends nothing for Keepalive, it is sent a request. After KeepaliveCount
	// such intervals without an answer the connection is lost. 0 means the configuration's
	// or 15 s and 3; negative switches it off.
	Keepalive      time.Duration
	KeepaliveCount int

	// ConfigFile replaces the user's and the system's configuration; "" is these, and
	// "none" or NoConfig reads none.
	ConfigFile string
	NoConfig   bool
	// Options are "Keyword=value" of ssh_config(5), as behind ssh -o. They override the
	// configuration. One that this client does not honour is an error.
	Options []string

	// Algorithms in order of preference, by their names in the protocol. Empty means those
	// of the configuration, or else those that both OpenSSH offers and
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

// Label returns "ssh:user@host:port" without the parts that are not set. The jump hosts of
// ProxyJump come first, with a comma behind each.
func (s Login) Label() string { return "ssh:" + destinations(append(s.allJumps(0), s)) }

// allJumps returns the jump hosts in the order in which they are passed, including those of
// the first one.
func (s Login) allJumps(depth int) []Login {
	if len(s.ProxyJump) == 0 || depth > maxJumpDepth {
		return nil
	}
	return append(s.ProxyJump[0].allJumps(depth+1), s.ProxyJump...)
}

// destinations returns a list as ssh takes it behind -J.
func destinations(hosts []Login) string {
	var names []string
	for _, host := range hosts {
		names = append(names, host.destination())
	}
	return strings.Join(names, ",")
}

func (s Login) destination() string {
	return s.to().String()
}

// Traits implements Method.
func (Login) Traits() connect.Traits { return connect.Traits{Remote: true} }

// Open connects, authenticates, and has the login shell start e.CommandLine. ctx bounds all
// of that, and an error leaves nothing behind. With e.Early, Open does not wait for the answer
// of the server; a refused command then ends the pipe.
func (s Login) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	return s.openFrom(ctx, e, sshconfig.DefaultPlaces())
}

// openFrom is Open with files in other places.
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

// parseJumps reads the value of the configuration's ProxyJump: [user@]host[:port] or
// ssh://[user@]host[:port], separated by commas. Its tokens are those of the host behind the
// jump hosts.
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

// ThroughDialer implements ThroughMethod. The dialer opens the first connection, which may be
// that of the first jump host.
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
