//go:build linux

package bootstrap

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// A probe names the policy that forbids programs, as a connect does.
func TestProbeWhereNoProgramIsExecuted(t *testing.T) {
	if _, err := os.Stat(noexecLibrary); err != nil {
		t.Skip(err)
	}
	o := opts()
	o.Probe = true
	l := NewLaunch(o)
	cmd := l.command()
	cmd.Env = append(os.Environ(), "LD_PRELOAD="+noexecLibrary)
	offer, err := l.Probe(bound(t), start(t, cmd))
	if !errors.Is(err, ErrNoStartMethod) || !strings.Contains(err.Error(), policyHint) {
		t.Errorf("offer %+v, error %v, want one that names the policy", offer, err)
	}
}
