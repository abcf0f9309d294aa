//go:build linux

package integration

import (
	"context"
	"errors"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/connect/openssh"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// slowRate is a rate, in bytes per second, at which an image takes many seconds.
const slowRate = 400 << 10

// slowTarget makes a host with a slow connection, and another one that can log in there.
func slowTarget(t *testing.T) (slow, way *lab.Running, key lab.ClientKey) {
	t.Helper()
	lab.Require(t)
	key = lab.NewClientKey(t)
	users := []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}}
	slow = start(t, lab.Host{Users: users, SSHD: &lab.SSHD{}})
	way = start(t, lab.Host{Users: users, SSHD: &lab.SSHD{}, Files: map[string]string{
		keyFile: key.Private, knownFile: slow.KnownHosts(),
	}})
	if err := slow.Shape(lab.Link{RTT: 20 * time.Millisecond, Rate: slowRate}); err != nil {
		t.Fatal(err)
	}
	return slow, way, key
}

// The bound of an attempt counts only silence. An image that takes many times as long is not sent
// again, by our client or by ssh, from the master or from another context.
func TestSlowImageIsSentOnce(t *testing.T) {
	t.Parallel()
	slow, way, key := slowTarget(t)
	self := master(t, nil)
	far := login(t, self, way, "deploy", key)
	openssh := openssh.Login{
		Host: slow.IP(), User: "deploy", ConfigFile: "none", IdentitiesOnly: true,
		IdentityFiles: []string{keyFile}, KnownHostsFiles: []string{knownFile},
	}
	for name, h := range map[string]*contexts.ManagedHost{
		"from here":              self.Manage(withKey(reach(t, slow, "deploy"), key), &contexts.ManagedHostConfig{Attempt: 4 * time.Second}),
		"from elsewhere":         far.Manage(onHosts(slow, "deploy"), &contexts.ManagedHostConfig{Attempt: 4 * time.Second}),
		"by ssh, from elsewhere": far.Manage(openssh, &contexts.ManagedHostConfig{Attempt: 4 * time.Second}),
	} {
		before := accepted(slow)
		start := time.Now()
		asked(t, h)
		took := time.Since(start)
		t.Logf("%s: %v", name, took)
		if took < 4*time.Second {
			t.Errorf("%s: the connect took %v, want at least 4s: the line is too fast for this test", name, took)
		}
		if n := accepted(slow) - before; n != 1 {
			t.Errorf("%s: the host has seen %d logins, want one", name, n)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}

// accepted returns the number of logins that a host has seen.
func accepted(host *lab.Running) int {
	return len(regexp.MustCompile(`Accepted publickey`).FindAllString(host.SSHDLog(), -1))
}

// The error of a connect that is given up names the phase that was under way. It does so after a
// deadline and after an interrupt, whichever context makes the hop.
func TestGivenUpConnectSaysHowFarItCame(t *testing.T) {
	t.Parallel()
	slow, way, key := slowTarget(t)
	// At this rate even a busy machine begins to send the image in time, and does not come to
	// the end of it.
	if err := slow.Shape(lab.Link{RTT: 20 * time.Millisecond, Rate: slowRate / 4}); err != nil {
		t.Fatal(err)
	}
	const enough = 20 * time.Second // the image is packed first, for another reader each time
	self := master(t, nil)
	far := login(t, self, way, "deploy", key)
	farther := child(t, far, local.Child{})
	sending := regexp.MustCompile(`sending the image by memfd-\w+ \(\d+\.\d of \d+\.\d MB\)`)
	for name, c := range map[string]struct {
		from *contexts.Node
		hop  ssh.Login
	}{
		"from here":          {self, withKey(reach(t, slow, "deploy"), key)},
		"one hop away":       {far, onHosts(slow, "deploy")},
		"two hops away":      {farther, onHosts(slow, "deploy")},
		"probed, a hop away": {far, onHosts(slow, "deploy")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "probed, a hop away" {
				// A listener that sends nothing: the phase is one of the ssh client.
				silent := c.hop
				silent.Host, silent.Port = lab.StationIP, silentPort(t)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := c.from.Probe(ctx, silent)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("the probe of a silent listener ended with %v, want %v", err, context.DeadlineExceeded)
				}
				told(t, err, "waiting for the server's version")
				return
			}
			ctx, cancel := context.WithTimeout(t.Context(), enough)
			_, err := c.from.Connect(ctx, c.hop)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || !sending.MatchString(err.Error()) {
				t.Errorf("at the deadline the connect ended with %v, want %v with a text that matches %v", err, context.DeadlineExceeded, sending)
			}
			ctx, cancel = context.WithCancel(t.Context())
			var late atomic.Bool
			time.AfterFunc(enough, func() { late.Store(true); cancel() })
			_, err = c.from.Connect(ctx, c.hop)
			cancel()
			if !late.Load() || !errors.Is(err, context.Canceled) || !sending.MatchString(err.Error()) {
				t.Errorf("at the interrupt (late: %v) the connect ended with %v, want %v with a text that matches %v", late.Load(), err, context.Canceled, sending)
			}
			t.Log(err)
		})
	}
}
