//go:build linux

package integration

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// A family is two hosts with contexts below a master. middle is on the first host. It has a local
// child there, and another child, leaf, on the second host by ssh.
type family struct {
	middleHost, leafHost *lab.Running
	scenes               []scene
}

// hops are the hops of a family. They travel to another process as JSON, and so hold no secret.
type hops struct{ Middle, Leaf ssh.Login }

// keyFile and knownFile are the files of a host's user with the key and the known hosts for the
// next host.
const keyFile, knownFile = "/home/deploy/.ssh/id_ed25519", "/home/deploy/.ssh/known_hosts"

func newFamily(t *testing.T, key lab.ClientKey) *family {
	t.Helper()
	users := []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}}
	f := new(family)
	f.leafHost = lab.Start(t, lab.Host{Users: users, SSHD: &lab.SSHD{}})
	f.middleHost = lab.Start(t, lab.Host{Users: users, SSHD: &lab.SSHD{}, Files: map[string]string{
		keyFile: key.Private, knownFile: f.leafHost.KnownHosts(),
	}})
	f.scenes = []scene{look(f.middleHost), look(f.leafHost)}
	return f
}

// onHosts returns a hop whose key and known hosts are files of the host at which it begins.
func onHosts(host *lab.Running, user string) ssh.Login {
	return ssh.Login{
		Host: host.IP(), User: user, NoConfig: true, NoAgent: true, IdentitiesOnly: true,
		IdentityFiles: []string{keyFile}, KnownHostsFiles: []string{knownFile},
	}
}

func (f *family) hops() hops {
	return hops{onHosts(f.middleHost, "deploy"), onHosts(f.leafHost, "deploy")}
}

// raise connects the contexts of the family. All of them misbehave.
func (h hops) raise(ctx context.Context, self *contexts.Node) (middle, beside, leaf *contexts.Node, err error) {
	if middle, err = self.Connect(ctx, h.Middle); err != nil {
		return
	}
	if beside, err = middle.Connect(ctx, local.Child{}); err != nil {
		return
	}
	if leaf, err = middle.Connect(ctx, h.Leaf); err != nil {
		return
	}
	for _, n := range []*contexts.Node{middle, beside, leaf} {
		if _, err = misbehave.Call(ctx, n, struct{}{}); err != nil {
			return
		}
		deaf.Go(context.Background(), n, struct{}{})
	}
	return
}

// gone checks that no process and no file of the family is left on its hosts.
func (f *family) gone(t *testing.T) {
	t.Helper()
	start := time.Now()
	for _, s := range f.scenes {
		s.restored(t, deathBudget)
	}
	t.Logf("everything had ended after %v", time.Since(start))
}

// workers returns the processes on a host in which contexts run.
func workers(host *lab.Running) []int { return having(host, "mitosis:worker=") }

// guards returns the guards on a host.
func guards(host *lab.Running) []int { return having(host, "mitosis:guard=") }

func having(host *lab.Running, argument string) (pids []int) {
	for _, p := range host.Processes() {
		if len(p.Cmdline) > 1 && strings.HasPrefix(p.Cmdline[1], argument) {
			pids = append(pids, p.PID)
		}
	}
	return pids
}
