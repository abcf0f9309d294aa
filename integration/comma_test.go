//go:build linux

package integration

import (
	"errors"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// A comma passes through a host as ssh -J does, with the keys and known_hosts of the context
// where the hop starts. A slash makes a context on the host, whose own keys and known_hosts
// serve for the next hop.
func TestCommaAndSlashInAHopPath(t *testing.T) {
	t.Parallel()
	lab.Require(t)
	keys := map[string]lab.ClientKey{"me": lab.NewClientKey(t), "alice": lab.NewClientKey(t)}
	account := func(name string, from ...string) lab.User {
		u := lab.User{Name: name}
		for _, key := range from {
			u.Keys = append(u.Keys, keys[key].Authorized)
		}
		return u
	}
	target := start(t, lab.Host{Name: "target", SSHD: &lab.SSHD{},
		Users: []lab.User{account("carol", "me"), account("dave", "alice")}})
	const bastionsKnown = "/home/alice/.ssh/known_hosts"
	bastion := start(t, lab.Host{Name: "bastion", SSHD: &lab.SSHD{}, Users: []lab.User{account("alice", "me")},
		Files: map[string]string{"/home/alice/.ssh/id_ed25519": keys["alice"].Private}})
	closed := start(t, lab.Host{Name: "closed", SSHD: &lab.SSHD{Config: []string{"AllowTcpForwarding no"}}, Users: []lab.User{account("alice", "me")},
		Files: map[string]string{"/home/alice/.ssh/id_ed25519": keys["alice"].Private, bastionsKnown: target.KnownHosts()}})
	client := start(t, lab.Host{Name: "client", Users: []lab.User{{Name: "me"}}, Files: map[string]string{
		"/home/me/.ssh/id_ed25519":  keys["me"].Private,
		"/home/me/.ssh/known_hosts": target.KnownHosts() + bastion.KnownHosts() + closed.KnownHosts(),
	}})
	for _, to := range []*lab.Running{nil, client} {
		if err := target.CutFrom(to); err != nil {
			t.Fatal(err)
		}
	}
	me := enter(t, master(t, nil), client, "me")
	hop := func(path string) (*contexts.Node, error) {
		t.Helper()
		methods, err := connect.ParsePath(path)
		if err != nil {
			t.Fatal(err)
		}
		at := me
		for _, m := range methods {
			next, err := at.Connect(t.Context(), m)
			if err != nil {
				return nil, err
			}
			t.Cleanup(func() { next.Close() })
			at = next
		}
		return at, nil
	}
	whoami := func(n *contexts.Node) string {
		t.Helper()
		out, err := n.Command(t.Context(), "sh", "-c", "id -un; hostname").Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(out)), "@")
	}

	n, err := hop("ssh:alice@" + bastion.IP() + ",carol@" + target.IP())
	if err != nil {
		t.Fatal(err)
	}
	if got := whoami(n); got != "carol@target" {
		t.Errorf("the comma led to %s, want carol@target", got)
	}

	// The bastion does not know the target's host key. Alice's key is not authorized for
	// carol's account.
	_, err = hop("ssh:alice@" + bastion.IP() + "/ssh:dave@" + target.IP())
	whose := " of lab:client/ssh:alice@" + bastion.IP() + ";"
	if !errors.Is(err, connect.ErrHostKeyUnknown) || !strings.Contains(err.Error(), bastionsKnown) || !strings.Contains(err.Error(), whose) {
		t.Errorf("the error is %v, want an unknown host key, the file %s and the words %q", err, bastionsKnown, whose)
	}
	if out, err := bastion.ExecAs(t.Context(), "alice", "sh", "-c", `printf %s "$1" >"$2"`, "sh", target.KnownHosts(), bastionsKnown); err != nil {
		t.Fatal(out, err)
	}
	if n, err = hop("ssh:alice@" + bastion.IP() + "/ssh:dave@" + target.IP()); err != nil {
		t.Fatal(err)
	}
	if got := whoami(n); got != "dave@target" {
		t.Errorf("the slash led to %s, want dave@target", got)
	}
	_, err = hop("ssh:alice@" + bastion.IP() + "/ssh:carol@" + target.IP())
	if !errors.Is(err, connect.ErrPasswordRequired) && !errors.Is(err, connect.ErrPermission) || !strings.Contains(err.Error(), "the keys and the agent of ") {
		t.Errorf("the error is %v, want a refusal that names the keys and the agent that were tried", err)
	}

	// A jump host that does not forward: the other way is proposed, and works.
	_, err = hop("alice@" + closed.IP() + ",carol@" + target.IP())
	other := "ssh:alice@" + closed.IP() + "/ssh:carol@" + target.IP()
	if !errors.Is(err, connect.ErrPermission) || !strings.Contains(err.Error(), other) {
		t.Errorf("the error is %v, want a refusal that proposes %s", err, other)
	}
	if n, err = hop(strings.Replace(other, "carol", "dave", 1)); err != nil {
		t.Fatal(err)
	}
	if got := whoami(n); got != "dave@target" {
		t.Errorf("the proposed path led to %s, want dave@target", got)
	}
}
