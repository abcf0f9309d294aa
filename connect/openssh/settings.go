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

// HopWord implements [connect.WordMethod]. Besides its own options, a word has the keywords of
// ssh_config(5).
func (o Login) HopWord(w *connect.Word) connect.Method {
	to := sshconfig.Destination{User: o.User, Host: o.Host, Port: o.Port}.Word()
	if o.ProxyJump != "" {
		to = o.ProxyJump + "," + to
	}
	w.TargetAsIs(to)
	w.List("key", &o.IdentityFiles)
	w.Flag("keys-only", &o.IdentitiesOnly)
	w.Choice("host-keys", (*uint8)(&o.HostKeys), sshconfig.HostKeyPolicies...)
	w.List("known-hosts", &o.KnownHostsFiles)
	w.Flag("compression", &o.Compression)
	w.Number("verbose", &o.Verbose)
	w.Time("keepalive", &o.Keepalive)
	w.Number("keepalive-count", &o.KeepaliveCount)
	w.Text("config", &o.ConfigFile)
	w.List("arg", &o.Args)
	w.Text("path", &o.Path)
	w.Pairs(sshconfig.AnyKeyword, sshconfig.IsOption, &o.Options)
	w.Secret(&o.Password)
	w.Secret(&o.Passphrase)
	w.Check(o.check())
	return o
}
