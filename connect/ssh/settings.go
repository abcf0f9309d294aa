package ssh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
	"github.com/mitosis-go/mitosis/connect/internal/sshconfig"
)

const (
	// defaultConnectTimeout bounds dialling and key exchange if neither the method nor
	// the configuration does. ssh has no such bound: it waits two minutes for a host that
	// is off, and for ever for one that accepts and says nothing.
	defaultConnectTimeout = 30 * time.Second
	// A peer is lost after three times fifteen seconds, as everywhere in this project.
	defaultKeepalive      = 15 * time.Second
	defaultKeepaliveCount = 3
)

// settings is a login with the configuration's answers filled in.
type settings struct {
	alias string // the host as it was given
	host  string // the host that is dialled
	port  int
	user  string

	identityFiles    []identityFile
	certificateFiles []string
	identitiesOnly   bool
	agentSocket      string // "" for no agent

	hostKeys         connect.HostKeyPolicy
	userKnownHosts   []string
	globalKnownHosts []string
	hostKeyAlias     string
	hashKnownHosts   bool

	jumps          []Login
	proxyCommand   string
	connectTimeout time.Duration // 0 for none
	keepalive      time.Duration // 0 for none
	keepaliveCount int

	policy
	tokens sshconfig.Tokens
}

// An identityFile is a private key, or only the public half of one that an
// agent has.
type identityFile struct {
	path     string
	explicit bool // named in the method or the configuration, so that it is noted if it is missing
}

// defaultIdentities are the key files that ssh tries if none is configured, without the kinds
// that golang.org/x/crypto/ssh can't use.
var defaultIdentities = []string{"id_rsa", "id_ecdsa", "id_ed25519"}

// otherIdentities are the other defaults of ssh, which `ssh -G` lists as well.
var otherIdentities = []string{"id_dsa", "id_xmss", "id_ecdsa_sk", "id_ed25519_sk", "id_mldsa44_ed25519"}

// resolve fills in what s leaves open.
func (s *Login) resolve(ctx context.Context, places sshconfig.Places) (*settings, error) {
	if err := check.HostAndUser(s.Host, s.User); err != nil {
		return nil, err
	}
	if s.Port < 0 || s.Port > 65535 {
		return nil, fmt.Errorf("%w: port %d", connect.ErrBadName, s.Port)
	}
	if err := CheckOptions(s.Options); err != nil {
		return nil, err
	}
	values, err := s.configuration(ctx, places)
	if err != nil {
		return nil, err
	}
	return s.settings(values, places)
}

// configuration returns the settings of the options and the configuration files for this host.
func (s *Login) configuration(ctx context.Context, places sshconfig.Places) (map[string][]string, error) {
	file := s.ConfigFile
	if s.NoConfig {
		file = "none"
	}
	return sshconfig.Values(ctx, places, file, s.Options, s.to())
}

// settings applies the order of precedence: the method's fields, the
// configuration, the defaults.
func (s *Login) settings(values map[string][]string, places sshconfig.Places) (*settings, error) {
	get := func(keyword string) string {
		if v := values[keyword]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
	yes := func(keyword string) bool {
		v := strings.ToLower(get(keyword))
		return v == "yes" || v == "true"
	}
	set := &settings{
		alias:          s.Host,
		host:           cmp.Or(get("hostname"), s.Host),
		user:           cmp.Or(s.User, expandUser(get("user"), s, places), places.User),
		port:           s.Port,
		identitiesOnly: s.IdentitiesOnly || yes("identitiesonly"),
		hostKeyAlias:   cmp.Or(s.HostKeyAlias, get("hostkeyalias")),
		hashKnownHosts: yes("hashknownhosts"),
	}
	if set.port == 0 {
		port, err := strconv.ParseUint(cmp.Or(get("port"), "22"), 10, 16)
		if err != nil || port == 0 {
			return nil, fmt.Errorf("%w: Port %q", connect.ErrBadName, get("port"))
		}
		set.port = int(port)
	}
	if err := check.HostAndUser(set.host, set.user); err != nil {
		return nil, err
	}

	tokens := sshconfig.Tokens{Alias: s.Host, Host: set.host, Port: set.port, User: set.user, LocalUser: places.User,
		LocalHome: places.Home, HostKeyAlias: set.hostKeyAlias, Jump: get("proxyjump")}
	if err := s.proxies(set, get("proxyjump"), strings.Join(values["proxycommand"], " "), &tokens); err != nil {
		return nil, err
	}
	var err error
	if set.policy, err = s.policy(values, &tokens); err != nil {
		return nil, err
	}
	if err := s.identities(set, values, &tokens, places); err != nil {
		return nil, err
	}
	if err := s.agent(set, get("identityagent"), &tokens); err != nil {
		return nil, err
	}
	if err := s.knownHosts(set, values, &tokens, places); err != nil {
		return nil, err
	}
	set.tokens = tokens
	return set, s.times(set, get)
}

// expandUser expands the tokens that User may have since OpenSSH 10. In older
// files a % stands for itself.
func expandUser(user string, s *Login, places sshconfig.Places) string {
	tokens := sshconfig.Tokens{Alias: s.Host, Host: s.Host, Port: s.Port, LocalUser: places.User, LocalHome: places.Home}
	if expanded, err := tokens.ExpandValue(user); err == nil {
		return expanded
	}
	return user
}

func (s *Login) proxies(set *settings, jump, command string, tokens *sshconfig.Tokens) error {
	none := func(v string) bool { return v == "" || strings.EqualFold(v, "none") }
	if s.ProxyCommand != "" && !none(s.ProxyCommand) && (len(s.ProxyJump) > 0 || s.Through != nil) {
		return failure.Classify(connect.ErrStart, errors.New("ProxyCommand excludes ProxyJump and Through"))
	}
	switch {
	case len(s.ProxyJump) > 0:
		set.jumps = s.ProxyJump
	case s.ProxyCommand != "":
		if !none(s.ProxyCommand) {
			set.proxyCommand = s.ProxyCommand
		}
	case s.Through != nil:
	case !none(jump):
		jumps, err := parseJumps(jump, tokens)
		if err != nil {
			return err
		}
		for i := range jumps {
			jumps[i].ConfigFile, jumps[i].NoConfig = s.ConfigFile, s.NoConfig
			jumps[i].KnownHostsFiles, jumps[i].RevokedHostKeys = s.KnownHostsFiles, s.RevokedHostKeys
		}
		set.jumps = jumps
	case !none(command):
		set.proxyCommand = command
	}
	return nil
}

func (s *Login) identities(set *settings, values map[string][]string, tokens *sshconfig.Tokens, places sshconfig.Places) error {
	inHome := func(path string) string {
		if expanded, err := sshconfig.ExpandHome(path, places.Home); err == nil {
			return expanded
		}
		return path // opening it will fail with an error
	}
	for _, path := range s.IdentityFiles {
		set.identityFiles = append(set.identityFiles, identityFile{inHome(path), true})
	}
	for _, path := range s.Certificates {
		set.certificateFiles = append(set.certificateFiles, inHome(path))
	}
	for _, path := range values["certificatefile"] {
		if strings.EqualFold(path, "none") {
			continue
		}
		path, err := tokens.Expand(path)
		if err != nil {
			return fmt.Errorf("CertificateFile: %w", err)
		}
		set.certificateFiles = append(set.certificateFiles, path)
	}
	// A method with keys of its own does not use the configured ones, since every refused
	// key counts against the server's limit.
	if len(s.IdentityFiles)+len(s.Keys) > 0 {
		return nil
	}
	if configured := values["identityfile"]; configured != nil {
		for _, path := range configured {
			if strings.EqualFold(path, "none") {
				continue
			}
			name, inDefault := strings.CutPrefix(path, "~/.ssh/")
			if inDefault && slices.Contains(otherIdentities, name) {
				continue
			}
			expanded, err := tokens.Expand(path)
			if err != nil {
				return fmt.Errorf("IdentityFile: %w", err)
			}
			explicit := !inDefault || !slices.Contains(defaultIdentities, name)
			set.identityFiles = append(set.identityFiles, identityFile{expanded, explicit})
		}
		return nil
	}
	for _, name := range defaultIdentities {
		if path := places.InHome(name); path != "" {
			set.identityFiles = append(set.identityFiles, identityFile{path, false})
		}
	}
	return nil
}

func (s *Login) agent(set *settings, configured string, tokens *sshconfig.Tokens) error {
	switch {
	case s.NoAgent:
	case s.AgentSocket != "":
		set.agentSocket = s.AgentSocket
	case strings.EqualFold(configured, "none"):
	case configured == "" || configured == "SSH_AUTH_SOCK":
		set.agentSocket = os.Getenv("SSH_AUTH_SOCK")
	case strings.HasPrefix(configured, "$") && !strings.HasPrefix(configured, "${"):
		set.agentSocket = os.Getenv(configured[1:])
	default:
		path, err := tokens.Expand(configured)
		if err != nil {
			return fmt.Errorf("IdentityAgent: %w", err)
		}
		set.agentSocket = path
	}
	return nil
}

func (s *Login) knownHosts(set *settings, values map[string][]string, tokens *sshconfig.Tokens, places sshconfig.Places) error {
	var err error
	if set.hostKeys, err = strictness(values, s.HostKeys); err != nil {
		return err
	}
	if s.KnownHostsFiles != nil {
		for _, path := range s.KnownHostsFiles {
			path, err := sshconfig.ExpandHome(path, places.Home)
			if err != nil {
				return fmt.Errorf("KnownHostsFiles: %w", err)
			}
			set.userKnownHosts = append(set.userKnownHosts, path)
		}
		return nil
	}
	lists := []struct {
		keyword  string
		fallback []string
		to       *[]string
	}{
		{"userknownhostsfile", []string{places.InHome("known_hosts"), places.InHome("known_hosts2")}, &set.userKnownHosts},
		{"globalknownhostsfile", []string{filepath.Join(filepath.Dir(places.SystemConfig), "ssh_known_hosts"),
			filepath.Join(filepath.Dir(places.SystemConfig), "ssh_known_hosts2")}, &set.globalKnownHosts},
	}
	for _, list := range lists {
		paths := values[list.keyword]
		if paths == nil {
			paths = slices.DeleteFunc(list.fallback, func(p string) bool { return p == "" })
		}
		for _, path := range paths {
			if strings.EqualFold(path, "none") {
				continue
			}
			expanded, err := tokens.Expand(path)
			if err != nil {
				return fmt.Errorf("%s: %w", list.keyword, err)
			}
			*list.to = append(*list.to, expanded)
		}
	}
	return nil
}

// strictness returns the policy of StrictHostKeyChecking, which counts where the program has
// not chosen to accept keys.
func strictness(values map[string][]string, chosen connect.HostKeyPolicy) (connect.HostKeyPolicy, error) {
	value := strings.ToLower(strings.Join(values["stricthostkeychecking"], " "))
	if value == "" || chosen != connect.HostKeysStrict && chosen != connect.HostKeysAsk {
		return chosen, nil
	}
	switch value {
	case "accept-new", "no", "off", "false":
		// In ssh, "no" goes on even if the key has changed. Here that takes
		// InsecureIgnoreHostKeys in the program.
		return connect.HostKeysAcceptNew, nil
	case "yes", "true":
		return connect.HostKeysStrict, nil
	case "ask":
		return connect.HostKeysAsk, nil
	}
	return 0, fmt.Errorf("StrictHostKeyChecking: %q is none of yes, no, ask and accept-new", value)
}

func (s *Login) times(set *settings, get func(string) string) error {
	seconds := func(keyword string) (time.Duration, error) {
		v := get(keyword)
		if v == "" || strings.EqualFold(v, "none") {
			return 0, nil
		}
		d, err := parseTime(v)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", keyword, err)
		}
		return d, nil
	}
	pick := func(field, configured, otherwise time.Duration) time.Duration {
		switch {
		case field < 0:
			return 0
		case field > 0:
			return field
		case configured > 0:
			return configured
		}
		return otherwise
	}
	timeout, err := seconds("connecttimeout")
	if err != nil {
		return err
	}
	alive, err := seconds("serveraliveinterval")
	if err != nil {
		return err
	}
	set.connectTimeout = pick(s.ConnectTimeout, timeout, defaultConnectTimeout)
	set.keepalive = pick(s.Keepalive, alive, defaultKeepalive)
	set.keepaliveCount = defaultKeepaliveCount
	if n, err := strconv.Atoi(get("serveralivecountmax")); err == nil && n > 0 && alive > 0 {
		set.keepaliveCount = n
	}
	if s.KeepaliveCount > 0 {
		set.keepaliveCount = s.KeepaliveCount
	}
	return nil
}

// parseTime reads the TIME FORMATS of sshd_config(5): "90", "1m30s".
func parseTime(text string) (time.Duration, error) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	var sum time.Duration
	for rest := strings.ToLower(text); rest != ""; {
		digits := 0
		for digits < len(rest) && '0' <= rest[digits] && rest[digits] <= '9' {
			digits++
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 32)
		if err != nil {
			return 0, fmt.Errorf("%q is not a time", text)
		}
		unit := time.Second
		if rest = rest[digits:]; rest != "" {
			known := false
			if unit, known = units[rest[0]]; !known {
				return 0, fmt.Errorf("%q is not a time", text)
			}
			rest = rest[1:]
		}
		sum += time.Duration(n) * unit
		if sum < 0 || sum > 10*365*24*time.Hour {
			return 0, fmt.Errorf("%q is too long", text)
		}
	}
	return sum, nil
}
