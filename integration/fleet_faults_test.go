//go:build linux

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
	"github.com/mitosis-go/mitosis/contexts/fleet"
	"github.com/mitosis-go/mitosis/integration/lab"
	"github.com/mitosis-go/mitosis/router"
)

// fleetFault is a way in which a host of a fleet fails, or has a hard time.
type fleetFault struct {
	name   string
	host   func(h *lab.Host)                        // makes it so; nil if it is the hop
	hop    func(t *testing.T, hop *ssh.Login)       // nil if it is the host
	during func(t *testing.T, h *lab.Running) error // is done to the host while the operation is under way
	is     error                                    // the class of the error; nil: it succeeds
	kind   fleet.Kind
	slow   bool // it takes one of the policy's times
}

const faultScript = `
case $(cat /etc/fault 2>/dev/null) in
hang) sleep 1000 ;;
die) echo here >/srv/here; sleep 1000 ;;
esac
`

var fleetFaults = []fleetFault{
	{name: "refuses", hop: func(_ *testing.T, hop *ssh.Login) { hop.Port = 1 }, is: connect.ErrRefused, kind: fleet.KindUnreachable},
	{name: "hangs in the login", host: func(h *lab.Host) { h.Files["/home/deploy/.bashrc"] = "cat >/dev/null\n" },
		is: context.DeadlineExceeded, kind: fleet.KindTimeout, slow: true},
	{name: "hangs in the command", host: func(h *lab.Host) { h.Files["/etc/fault"] = "hang" },
		is: context.DeadlineExceeded, kind: fleet.KindTimeout, slow: true},
	{name: "has a full disk", host: func(h *lab.Host) {
		h.Setup = []string{"mount -t tmpfs -o size=64k,mode=1777 tmpfs /srv"}
	}, is: syscall.ENOSPC, kind: fleet.KindOther},
	{name: "has another password", hop: func(_ *testing.T, hop *ssh.Login) { *hop = withPassword(*hop, "wrong"); hop.IdentityFiles = []string{} },
		is: connect.ErrPassword, kind: fleet.KindPassword},
	{name: "has another key", hop: func(t *testing.T, hop *ssh.Login) {
		other := strings.TrimSpace(lab.NewClientKey(t).Authorized)
		hop.KnownHostsFiles = []string{filepath.Join(t.TempDir(), "changed")}
		if err := os.WriteFile(hop.KnownHostsFiles[0], []byte(hop.Host+" "+other+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}, is: connect.ErrHostKeyChanged, kind: fleet.KindHostKey},
	{name: "dies in the middle", host: func(h *lab.Host) { h.Files["/etc/fault"] = "die" },
		during: func(t *testing.T, h *lab.Running) error {
			if err := awaitFile(t, h, "/srv/here"); err != nil {
				return err
			}
			return h.Close()
		}, is: contexts.ErrGone, kind: fleet.KindLost},
	{name: "reboots"}, // it is down at first, and comes up; see below
}

// awaitFile waits until a host has a file. It may be called beside the test's goroutine.
func awaitFile(t *testing.T, h *lab.Running, name string) error {
	for end := time.Now().Add(2 * patience); time.Now().Before(end); {
		if _, err := h.Exec(t.Context(), "test", "-e", name); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s has no %s", h.Name(), name)
}

// A third of the hosts of a fleet have faults of all kinds. Each has its own error at its own
// time, the others are done as if nothing was, and nothing is left on any of them.
func TestFleetFaults(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	n := 60
	if testing.Short() {
		n = 3 * len(fleetFaults)
	}
	key, lasting := lab.NewClientKey(t), lab.NewClientKey(t)
	faultOf := func(i int) *fleetFault {
		if i%3 != 0 {
			return nil
		}
		return &fleetFaults[(i/3-1)%len(fleetFaults)]
	}
	specs := make(map[string]lab.Host)
	hosts := fleetHosts(t, n, key, func(i int, h *lab.Host) {
		h.Users[0].Password = "right"
		h.Files = map[string]string{}
		h.Setup = []string{"chmod 1777 /srv"}
		if f := faultOf(i); f != nil && f.name == "reboots" {
			h.SSHD.Config = []string{"HostKey /etc/ssh/lasting_key"}
			h.Files["/etc/ssh/lasting_key"] = lasting.Private
		} else if f != nil && f.host != nil {
			f.host(h)
		}
		specs[h.Name] = *h
	})
	hops := make(map[string]ssh.Login)
	faults := make(map[string]*fleetFault)
	scenes := make(map[string]scene)
	for i := 1; i <= n; i++ {
		name := fmt.Sprintf("h%d", i)
		hop := withKey(reach(t, hosts[name], "deploy"), key)
		f := faultOf(i)
		faults[name] = f
		if f != nil && f.hop != nil {
			f.hop(t, &hop)
		}
		if f != nil && f.name == "reboots" {
			hop.Host = name
			if err := os.WriteFile(hop.KnownHostsFiles[0], []byte(name+" "+strings.TrimSpace(lasting.Authorized)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := hosts[name].Close(); err != nil {
				t.Fatal(err)
			}
		} else {
			scenes[name] = look(hosts[name])
		}
		hops[name] = hop
	}
	log, _ := newJournal(t)
	self, err := contexts.Start(t.Context(), &contexts.Config{Log: log, Limits: router.Limits{Heartbeat: time.Second, Missed: 5}, PackedDir: nothingKept})
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	connecting, working := stretched(10*time.Second), stretched(6*time.Second)
	g := fleetOf(t, self, hosts, key, fleet.Config{
		Hops: func(name string) ([]connect.Method, error) { return []connect.Method{hops[name]}, nil },
		Host: contexts.ManagedHostConfig{Wait: -1},
		Policy: fleet.Policy{
			FanOut: n, ConnectTimeout: connecting, Timeout: working,
			Retry: fleet.Retry{Attempts: 1000, Pause: 100 * time.Millisecond, MaxPause: time.Second, Elapsed: 2 * connecting, If: func(err error) bool {
				// A host that boots, which is called by its name here, refuses until its sshd listens.
				boots := strings.Contains(err.Error(), "deploy@h")
				return fleet.Retryable(err) && (boots || !errors.Is(err, connect.ErrRefused)) && fleet.KindOf(err) != fleet.KindTimeout
			}},
		},
	})
	source := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(source, bytes.Repeat([]byte("0123456789abcdef"), 16<<10), 0o600); err != nil {
		t.Fatal(err)
	}

	// What happens to hosts while the operation is under way.
	var events sync.WaitGroup
	failures := make(chan error, n)
	for name, f := range faults {
		if f != nil && f.during != nil {
			events.Go(func() { failures <- f.during(t, hosts[name]) })
		}
	}
	r := &fleet.Results[string]{}
	operation := make(chan struct{})
	began := time.Now()
	go func() {
		defer close(operation)
		r = fleet.Collect(fleet.Do(t.Context(), g, func(ctx context.Context, m *fleet.Member, node *contexts.Node) (string, error) {
			if _, err := files.Put(ctx, node, source, "/srv/data", nil); err != nil {
				return "", err
			}
			out, err := node.Command(ctx, "sh", "-c", faultScript+"hostname").Output()
			return string(out), err
		}))
	}()
	for name, f := range faults {
		if f != nil && f.name == "reboots" { // only the test's goroutine starts hosts
			hosts[name] = start(t, specs[name])
			scenes[name] = look(hosts[name])
		}
	}
	<-operation
	events.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d hosts took %v", n, time.Since(began))

	ok := 0
	for name, f := range faults {
		one, there := r.Of(name)
		switch {
		case !there:
			t.Errorf("%s has no result", name)
		case f == nil || f.is == nil:
			if ok++; one.Err != nil || one.Value != name+"\n" {
				t.Errorf("%s says %q, %v; want its name", name, one.Value, one.Err)
			}
		case !errors.Is(one.Err, f.is) || fleet.KindOf(one.Err) != f.kind:
			t.Errorf("%s, which %s: %q of the kind %q, want %q and %q", name, f.name, one.Err, fleet.KindOf(one.Err), f.is, f.kind)
		case !f.slow && one.Took > connecting+working/2:
			t.Errorf("%s, which %s, took %v, want less than the time that one that hangs may take", name, f.name, one.Took)
		}
	}
	s := r.Summary()
	if s.Hosts != n || s.OK != ok || s.Failed != n-ok || s.NotTried != 0 {
		t.Errorf("the summary is %+v, want %d hosts, of which %d succeeded and the others failed", s, n, ok)
	}
	if err := errors.Join(g.Close(), self.Close()); err != nil {
		t.Errorf("the fleet did not end in order: %v", err)
	}
	for name, f := range faults {
		if f != nil && f.name == "dies in the middle" {
			continue
		}
		scenes[name].restored(t, deathBudget, "/srv/data")
		_, err := hosts[name].Exec(t.Context(), "test", "-e", "/srv/data")
		if has := err == nil; has != (f == nil || f.is == nil || f.name == "hangs in the command") {
			t.Errorf("%s has the file: %v", name, has)
		}
	}
}
