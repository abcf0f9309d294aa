//go:build linux

package ssh

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/openssh"
)

// A jump host that forwards nothing is told in ssh's words, with the way around: a
// context on it makes the hop.
func TestAJumpHostThatForwardsNothingSaysTheWayAround(t *testing.T) {
	connecttest.CheckLeaks(t)
	jump := newBesideSSH(t, "AllowTcpForwarding no")
	config := connecttest.WriteFile(t, filepath.Join(t.TempDir(), "config"), "Host inner\nHostName 127.0.0.1\nPort 9\nUser root\nProxyJump jump\n"+jump.base, 0o600)
	for name, m := range map[string]connect.Method{
		"ssh":     Login{Host: "inner", ConfigFile: config},
		"openssh": openssh.Login{Host: "inner", ConfigFile: config},
	} {
		c, err := m.Open(connecttest.TestContext(t), testEnv("true"))
		if err == nil {
			err = c.Cause(connecttest.TestContext(t))
			c.Close()
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		for _, want := range []string{"administratively prohibited", "a context on it can make the hop"} {
			if !errors.Is(err, connect.ErrPermission) || !strings.Contains(text, want) {
				t.Errorf("%s: %v; wanted %q", name, err, want)
			}
		}
	}
}
