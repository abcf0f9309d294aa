//go:build linux

package integration

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/pool"
	"github.com/mitosis-go/mitosis/integration/lab"
	"github.com/mitosis-go/mitosis/router"
)

// A host falls silent while its connection rests. Whoever has a lease hears that from the link's
// heartbeat, the next ones from the hop, and when the host is back, leases work again.
func TestPoolOfASilentHost(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	key := lab.NewClientKey(t)
	host := start(t, lab.Host{SSHD: &lab.SSHD{}, Users: []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}}})
	beats := router.Limits{Heartbeat: time.Second, Missed: 3}
	p := pool.New(master(t, &contexts.Config{Limits: beats}), nil)
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	hop := withKey(reach(t, host, "deploy"), key)
	call := func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), stretched(limit))
		defer cancel()
		lease, err := p.GetHops(ctx, hop)
		if err != nil {
			return err
		}
		defer lease.Release()
		_, err = run.Call(ctx, lease.Node(), []string{"true"})
		return err
	}
	if err := call(patience); err != nil {
		t.Fatal(err)
	}
	host.Cut()
	if err := call(20 * time.Second); !errors.Is(err, contexts.ErrGone) {
		t.Errorf("the first call after the cut: %v, want ErrGone from the heartbeat", err)
	}
	began := time.Now()
	if err := call(2 * time.Second); !errors.Is(err, context.DeadlineExceeded) && !connect.Temporary(err) {
		t.Errorf("a lease of the silent host: %v after %v, want the end of the time, or that it is out of reach", err, time.Since(began))
	}
	eventually(t, 5*time.Second, "nothing is left that is being opened", func() bool { return len(p.Stats()) == 0 })
	host.Heal()
	if err := call(patience); err != nil {
		t.Errorf("a call after the host is back: %v", err)
	}
}
