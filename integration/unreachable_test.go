//go:build linux

package integration

import (
	"errors"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/connect/openssh"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// The error for a host that can't be reached has the same class for our own ssh client and for the
// ssh program, with a jump host and without. Here the context that connects is two hops
// from the master.
func TestHostsOutOfReach(t *testing.T) {
	t.Parallel()
	lab.Require(t)
	key := lab.NewClientKey(t)
	users := []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}}
	blackHole := []string{"ip route add unreachable 10.99.0.0/16"}
	jump := start(t, lab.Host{Users: users, SSHD: &lab.SSHD{}, Setup: blackHole})
	way := start(t, lab.Host{Users: users, SSHD: &lab.SSHD{}, Setup: blackHole, Files: map[string]string{
		keyFile: key.Private, knownFile: jump.KnownHosts(),
	}})
	far := child(t, login(t, master(t, nil), way, "deploy", key), local.Child{})

	native := func(host string, port int) ssh.Login {
		s := onHosts(jump, "deploy")
		s.Host, s.Port, s.ConnectTimeout = host, port, 10*time.Second
		return s
	}
	program := func(host string, port int) openssh.Login {
		return openssh.Login{
			Host: host, Port: port, User: "deploy", ConfigFile: "none", IdentitiesOnly: true,
			IdentityFiles: []string{keyFile}, KnownHostsFiles: []string{knownFile},
			Options: []string{"ConnectTimeout=10"},
		}
	}
	for name, c := range map[string]struct {
		host   string
		port   int
		class  error
		passes bool // whether another attempt makes sense
	}{
		"nobody listens": {jump.IP(), 1, connect.ErrRefused, true},
		"no way there":   {"10.99.1.2", 22, connect.ErrUnreachable, true},
		"no IPv6 there":  {"2001:db8::7", 22, connect.ErrUnreachable, true},
		"no such host":   {"nowhere.invalid", 22, connect.ErrNoHost, false},
	} {
		hops := map[string]connect.Method{"ssh": native(c.host, c.port), "openssh": program(c.host, c.port)}
		through := native(c.host, c.port)
		through.ProxyJump = []ssh.Login{native(jump.IP(), port(t, jump))}
		hops["ssh by a jump host"] = through
		command := native(c.host, c.port)
		command.ProxyCommand = "ssh -F none -o UserKnownHostsFile=" + knownFile + " -i " + keyFile + " -W [%h]:%p deploy@" + jump.IP()
		hops["ssh by a proxy command"] = command
		jumping := program(c.host, c.port)
		jumping.ProxyJump = "deploy@" + jump.IP() // whose key and known_hosts have their usual names
		hops["openssh by a jump host"] = jumping
		for kind, m := range hops {
			t.Run(name+", "+kind, func(t *testing.T) {
				err := refused(t, far, m, c.class, soon)
				if got := connect.Temporary(err); got != c.passes && !errors.Is(err, connect.ErrResolver) {
					t.Errorf("whether another attempt makes sense after %v: %v, want %v", err, got, c.passes)
				}
				if errors.Is(err, connect.ErrStart) {
					t.Errorf("the error %v is of the class %v, want it not: the tool has started", err, connect.ErrStart)
				}
			})
		}
	}
}
