package ssh

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
	"github.com/mitosis-go/mitosis/connect/internal/sshconfig"
)

// ofHost are keywords whose values depend on the host where the hop starts: on its users,
// variables and agent. They are only read there.
var ofHost = []string{"revokedhostkeys", "forwardagent", "setenv", "refuseconnection", "knownhostscommand"}

// CheckOptions reads options as a Login with these Options does, and returns the error that
// names the first one that is refused: an unknown keyword, a bad value, or a setting that this
// client does not honour. In a file such a setting is only warned of, since the file is also
// that of an ssh program. The error matches [connect.ErrStart].
func CheckOptions(options []string) error {
	if len(options) == 0 {
		return nil
	}
	values, err := sshconfig.Options(options).Values()
	if err != nil {
		return err
	}
	for _, keyword := range ofHost {
		delete(values, keyword)
	}
	policy, err := new(Login).policy(values, &sshconfig.Tokens{})
	if err == nil {
		err = policy.refusal(values)
	}
	if err != nil {
		return failure.Classify(connect.ErrStart, fmt.Errorf("option %w", err))
	}
	return nil
}

// refusal returns the error for the first setting that this client does not honour, or whose
// value is no value of the keyword; nil if there is none.
func (p *policy) refusal(values map[string][]string) error {
	r := &policyReader{values: values}
	for _, keyword := range slices.Sorted(maps.Keys(values)) {
		switch keyword {
		case "connecttimeout", "serveraliveinterval":
			if _, err := parseTime(r.get(keyword)); err != nil && r.has(keyword) {
				return fmt.Errorf("%s: %w", keyword, err)
			}
		}
	}
	for _, list := range p.algorithmLists() {
		if value := r.get(list.keyword); value != "" && r.err == nil {
			if err := list.names.check(value); err != nil {
				r.fail(list.keyword, "%v", err)
			}
		}
	}
	switch {
	case r.err != nil:
		return r.err
	case len(p.without) > 0:
		return errors.New(p.without[0])
	case len(p.unused) > 0:
		return fmt.Errorf("for %s: this client does not have it; an openssh hop could use it", strings.Join(p.unused, ", "))
	case p.dns:
		return errors.New("VerifyHostKeyDNS: it is not evaluated here, an openssh hop does it")
	}
	return nil
}

// WithSSHSettings implements [connect.SSHMethod].
func (s Login) WithSSHSettings(set connect.SSHSettings) (connect.Method, error) {
	if err := CheckOptions(set.Options); err != nil {
		return nil, err
	}
	if set.Port < 0 || set.Port > 65535 {
		return nil, fmt.Errorf("%w: port %d", connect.ErrBadName, set.Port)
	}
	if s.User == "" {
		s.User = set.User
	}
	if s.Port == 0 {
		s.Port = set.Port
	}
	if s.ConfigFile == "" && !s.NoConfig {
		s.ConfigFile = set.ConfigFile
	}
	if s.HostKeys == connect.HostKeysStrict {
		s.HostKeys = set.HostKeys
	}
	// For each keyword the first value counts, so the hop's own come first.
	s.Options = slices.Clone(s.Options)
	if len(s.IdentityFiles)+len(s.Keys) == 0 {
		for _, file := range set.IdentityFiles {
			s.Options = append(s.Options, "IdentityFile="+sshconfig.Quote(file))
		}
	}
	s.Options = append(s.Options, set.Options...)
	return s, nil
}
