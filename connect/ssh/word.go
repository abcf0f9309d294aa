package ssh

import (
	"fmt"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/sshconfig"
)

// HopWord implements [connect.WordMethod]. Besides its own options, a word has the keywords of
// ssh_config(5). Private keys and a Dialer can't stand in one.
func (s Login) HopWord(w *connect.Word) connect.Method {
	var hosts []string
	for _, host := range append(s.allJumps(0), s) {
		hosts = append(hosts, host.to().Word())
	}
	w.TargetAsIs(strings.Join(hosts, ","))
	w.List("key", &s.IdentityFiles)
	w.List("certificate", &s.Certificates)
	w.Flag("keys-only", &s.IdentitiesOnly)
	w.Text("agent", &s.AgentSocket)
	w.Flag("no-agent", &s.NoAgent)
	w.Flag("forward-agent", &s.ForwardAgent)
	w.Choice("host-keys", (*uint8)(&s.HostKeys), sshconfig.HostKeyPolicies...)
	w.List("known-hosts", &s.KnownHostsFiles)
	w.Text("alias", &s.HostKeyAlias)
	w.List("revoked", &s.RevokedHostKeys)
	w.Text("proxy-command", &s.ProxyCommand)
	w.Time("timeout", &s.ConnectTimeout)
	w.Time("keepalive", &s.Keepalive)
	w.Number("keepalive-count", &s.KeepaliveCount)
	w.Text("config", &s.ConfigFile)
	w.Flag("no-config", &s.NoConfig)
	w.List("key-exchange", &s.KeyExchanges)
	w.List("cipher", &s.Ciphers)
	w.List("mac", &s.MACs)
	w.List("host-key-algorithm", &s.HostKeyAlgorithms)
	w.Pairs(sshconfig.AnyKeyword, sshconfig.IsOption, &s.Options)
	w.Secret(&s.Password)
	w.Secret(&s.Passphrase)
	if !w.Reading() {
		s.Keys, s.Through = nil, nil
	}
	w.Check(check.HostAndUser(s.Host, s.User))
	if err := CheckOptions(s.Options); err != nil {
		w.Check(fmt.Errorf("%w: %w", connect.ErrBadName, err))
	}
	return s
}

func (s Login) to() sshconfig.Destination {
	return sshconfig.Destination{User: s.User, Host: s.Host, Port: s.Port}
}
