package openssh

import (
	"slices"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/sshconfig"
)

// mayTrust reports whether a person decides about the key of a new host.
func (o Login) mayTrust() bool {
	if o.HostKeys != connect.HostKeysStrict {
		return o.HostKeys == connect.HostKeysAsk
	}
	values, err := sshconfig.Options(o.Options).Values()
	return err == nil && strings.EqualFold(strings.Join(values["stricthostkeychecking"], " "), "ask")
}

// WithSSHSettings implements [connect.SSHMethod]. The ssh program says which options it takes.
func (o Login) WithSSHSettings(set connect.SSHSettings) (connect.Method, error) {
	if o.User == "" {
		o.User = set.User
	}
	if o.Port == 0 {
		o.Port = set.Port
	}
	if o.ConfigFile == "" {
		o.ConfigFile = set.ConfigFile
	}
	if o.HostKeys == connect.HostKeysStrict {
		o.HostKeys = set.HostKeys
	}
	if len(o.IdentityFiles) == 0 {
		o.IdentityFiles = set.IdentityFiles
	}
	// For each keyword the first value counts, so the hop's own come first.
	o.Options = slices.Concat(o.Options, set.Options)
	return o, o.check()
}
