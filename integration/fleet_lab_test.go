//go:build linux

package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/fleet"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// fleetHosts starts hosts called h1 to hN with a user called deploy who logs in by a key.
func fleetHosts(t *testing.T, n int, key lab.ClientKey, change func(i int, h *lab.Host)) map[string]*lab.Running {
	t.Helper()
	hosts := make(map[string]*lab.Running, n)
	began := time.Now()
	for i := 1; i <= n; i++ {
		h := lab.Host{
			Name: fmt.Sprintf("h%d", i), Users: []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}}, SSHD: &lab.SSHD{},
		}
		if change != nil {
			change(i, &h)
		}
		hosts[h.Name] = start(t, h)
	}
	t.Logf("%d hosts in %v", n, time.Since(began))
	return hosts
}

// fleetOf makes a group of hosts, which are reached by key as deploy, and by the further hops.
func fleetOf(t *testing.T, self *contexts.Node, hosts map[string]*lab.Running, key lab.ClientKey, cfg fleet.Config, further ...connect.Method) *fleet.Group {
	t.Helper()
	names := make([]string, 0, len(hosts))
	for i := range len(hosts) {
		names = append(names, fmt.Sprintf("h%d", i+1))
	}
	if cfg.Hops == nil {
		cfg.Hops = func(name string) ([]connect.Method, error) {
			return append([]connect.Method{withKey(reach(t, hosts[name], "deploy"), key)}, further...), nil
		}
	}
	g, err := fleet.New(self, fleet.NewHosts(names...), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
