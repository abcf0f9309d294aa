//go:build linux

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/fleet"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// Members behind a gate, once with the keys of the master and once with those of the gate.
func TestFleetBehindAGate(t *testing.T) {
	lab.Require(t)
	mine, gates := lab.NewClientKey(t), lab.NewClientKey(t)
	gate := lab.Start(t, lab.Host{
		SSHD:  &lab.SSHD{},
		Users: []lab.User{{Name: "deploy", Keys: []string{mine.Authorized}}},
		Files: map[string]string{"/home/deploy/.ssh/fleet": gates.Private},
	})
	inner := make(map[string]*lab.Running)
	names := []string{"gate"}
	for i := range 3 {
		name := fmt.Sprintf("inner%d", i+1)
		inner[name] = lab.Start(t, lab.Host{
			SSHD:  &lab.SSHD{},
			Users: []lab.User{{Name: "deploy", Keys: []string{mine.Authorized}}, {Name: "other", Keys: []string{gates.Authorized}}},
		})
		names = append(names, name)
	}
	for _, through := range []bool{true, false} {
		t.Run(fmt.Sprintf("through %v", through), func(t *testing.T) {
			self := master(t, nil)
			hops := func(name string) ([]connect.Method, error) {
				if name == "gate" {
					return []connect.Method{withKey(reach(t, gate, "deploy"), mine)}, nil
				}
				login := reach(t, inner[name], "deploy")
				login.Through = nil
				if through {
					return []connect.Method{withKey(login, mine)}, nil
				}
				// The key is a file of the gate, and so is the list of known hosts.
				login.User, login.IdentityFiles, login.IdentitiesOnly = "other", []string{"/home/deploy/.ssh/fleet"}, true
				login.KnownHostsFiles, login.HostKeys = []string{"/home/deploy/.ssh/known"}, connect.HostKeysAcceptNew
				return []connect.Method{login}, nil
			}
			g, err := fleet.New(self, fleet.NewHosts(names...), &fleet.Config{
				Hops: hops,
				Tree: &fleet.Tree{Rules: []fleet.Rule{{Hosts: fleet.NewHosts(names[1:]...), Via: fleet.NewHosts("gate"), Through: through}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			results := fleet.Collect(fleet.Do(ctx, g, func(_ context.Context, _ *fleet.Member, n *contexts.Node) (bool, error) {
				return strings.Contains(n.String(), "/"), nil // it is below another
			}))
			if err := results.Err(); err != nil {
				t.Fatal(err)
			}
			for m, r := range results.All() {
				if want := m.Name() != "gate" && !through; r.Value != want {
					t.Errorf("%v is below another context: %v, want %v", m, r.Value, want)
				}
			}
			if !through {
				return
			}
			for name, h := range inner {
				if said := h.SSHDLog(); !strings.Contains(said, "Accepted publickey for deploy from "+gate.IP()) {
					t.Errorf("%s was not reached from the gate:\n%s", name, said)
				}
			}
		})
	}
}
