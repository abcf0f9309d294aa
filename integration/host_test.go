//go:build linux

package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
	"github.com/mitosis-go/mitosis/router"
)

// Times for the tests of managed hosts, a tenth of the defaults or less. The defaults are made
// for machines that need minutes, and the tests would wait for them.
var (
	hasty    = contexts.ManagedHostConfig{MinDelay: 50 * time.Millisecond, MaxDelay: time.Second, Attempt: 5 * time.Second}
	hastyNow = contexts.ManagedHostConfig{MinDelay: 50 * time.Millisecond, MaxDelay: time.Second, Attempt: 5 * time.Second, Wait: -1}
	beat     = router.Limits{Heartbeat: 200 * time.Millisecond, Missed: 3}
)

// expectAway waits until calls to a host fail because it is away. The host's config must not have
// calls wait.
func expectAway(t *testing.T, h *contexts.ManagedHost) error {
	t.Helper()
	var err error
	eventually(t, patience, "the host is found to be away", func() bool {
		_, err = whoami.Call(t.Context(), h, struct{}{})
		return errors.Is(err, contexts.ErrUnavailable)
	})
	return err
}

// asked checks that a host answers. It repeats a call that was lost with the host.
func asked(t *testing.T, h contexts.Target) identity {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	for {
		id, err := whoami.Call(ctx, h, struct{}{})
		if err == nil {
			return id
		}
		// A loss ends the calls that are under way.
		if !errors.Is(err, contexts.ErrGone) && !errors.Is(err, contexts.ErrUnavailable) || ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestManagedHost(t *testing.T) {
	t.Parallel()
	lab.Require(t)
	key := lab.NewClientKey(t)
	host := start(t, lab.Host{Users: []lab.User{{Name: "alice", Keys: []string{key.Authorized}}}, SSHD: &lab.SSHD{}})
	hop := withKey(reach(t, host, "alice"), key)
	t.Run("sshd restarts", func(t *testing.T) { sshdRestarts(t, host, hop) })
	t.Run("no network for a while", func(t *testing.T) { networkBreaks(t, host, hop) })
	t.Run("behind another", func(t *testing.T) { hostBehindHost(t, host, hop) })
}

// servers returns the processes of sshd, sessions included.
func servers(host *lab.Running) (pids []int) {
	for _, p := range host.Processes() {
		if strings.Contains(p.String(), "sshd") {
			pids = append(pids, p.PID)
		}
	}
	return pids
}

func sshdRestarts(t *testing.T, host *lab.Running, hop ssh.Login) {
	log, j := newJournal(t)
	self := master(t, &contexts.Config{Log: log})
	waiting, failing := self.Manage(hop, &hasty), self.Manage(hop, &hastyNow)
	first := asked(t, waiting)
	asked(t, failing)
	kill(t, host, syscall.SIGKILL, servers(host)...)
	if err := expectAway(t, failing); !errors.Is(err, connect.ErrRefused) && !errors.Is(err, contexts.ErrGone) {
		t.Errorf("the host is away with the error %v, want %v or %v", err, connect.ErrRefused, contexts.ErrGone)
	}
	late := make(chan identity)
	go func() { late <- asked(t, waiting) }()
	if _, err := host.Shell("/usr/sbin/sshd -f /etc/ssh/lab_sshd_config -E /run/sshd.log"); err != nil {
		t.Fatal(err)
	}
	if id := <-late; id.PID == first.PID || id.Host != first.Host {
		t.Errorf("after the restart %+v answers, want another process on the same host than %+v", id, first)
	}
	asked(t, failing)
	// Both hosts have logged the loss and its end, at the same level.
	for _, line := range []string{`level=WARN msg="a host was lost and`, `level=WARN msg="a host is back" host=`} {
		if n := strings.Count(j.String(), line); n < 2 {
			t.Errorf("the log has %q %d times, want it at least twice, once for each host", line, n)
		}
	}
}

func networkBreaks(t *testing.T, host *lab.Running, hop ssh.Login) {
	const silence = 30 * time.Second
	self := master(t, &contexts.Config{Limits: beat})
	waiting, failing := self.Manage(hop, &hasty), self.Manage(hop, &hastyNow)
	asked(t, waiting)
	asked(t, failing)
	if err := host.Cut(); err != nil {
		t.Fatal(err)
	}
	healed := make(chan error, 1)
	time.AfterFunc(silence, func() { healed <- host.Heal() })
	start := time.Now()
	expectAway(t, failing)
	if took := time.Since(start); took > silence {
		t.Errorf("the host was known to be away after %v, want at most %v", took, silence)
	}
	asked(t, waiting)
	if took := time.Since(start); took < silence {
		t.Errorf("the host answered after %v, want at least the %v without a network", took, silence)
	} else {
		t.Logf("back after %v, of which %v without a network", took, silence)
	}
	asked(t, failing)
	if err := <-healed; err != nil {
		t.Fatal(err)
	}
}

// It does not run beside other tests, because it would count their goroutines.
func TestHostIsLostManyTimes(t *testing.T) {
	times := 50
	if testing.Short() {
		times = 15
	}
	lab.Require(t)
	key := lab.NewClientKey(t)
	host := start(t, lab.Host{Users: []lab.User{{Name: "alice", Keys: []string{key.Authorized}}}, SSHD: &lab.SSHD{}})
	self := master(t, nil)
	h := self.Manage(withKey(reach(t, host, "alice"), key), &hasty)
	before := look(host)
	id := asked(t, h)
	held, one := holding(t), len(before.newProcesses())
	for range times {
		kill(t, host, syscall.SIGKILL, id.PID)
		lost := id.PID
		eventually(t, patience, "another process answers", func() bool {
			id = asked(t, h)
			return id.PID != lost
		})
	}
	held.released(t)
	eventually(t, patience, "there are no more processes than before", func() bool { return len(before.newProcesses()) <= one })
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	before.restored(t, patience)
	// A closed host is not gone: the next use connects it again.
	asked(t, h)
}

func hostBehindHost(t *testing.T, host *lab.Running, hop ssh.Login) {
	self := master(t, nil)
	outer := self.Manage(hop, &hasty)
	inner := outer.Manage(local.Child{}, &hasty)
	first := asked(t, inner)
	if outerID := asked(t, outer); !strings.HasPrefix(first.Path, outerID.Path+"/") {
		t.Errorf("the path of the inner host is %q, want one below %q", first.Path, outerID.Path)
	}
	kill(t, host, syscall.SIGKILL, asked(t, outer).PID)
	eventually(t, patience, "another context of the inner host answers", func() bool { return asked(t, inner).PID != first.PID })
}

// bootIs returns the setup of a host whose boot has this ID. The kernel is the machine's, so its
// own boot ID never changes.
func bootIs(name string) []string {
	return []string{"echo " + name + " >/run/boot_id", "mount -n --bind /run/boot_id /proc/sys/kernel/random/boot_id"}
}

func TestHostReboots(t *testing.T) {
	t.Parallel()
	lab.Require(t)
	key, hostKey := lab.NewClientKey(t), lab.NewClientKey(t)
	const name = "rebooting"
	h := lab.Host{
		Name: name, Users: []lab.User{{Name: "alice", Keys: []string{key.Authorized}}},
		Files: map[string]string{"/etc/ssh/lasting_key": hostKey.Private},
		SSHD:  &lab.SSHD{Config: []string{"HostKey /etc/ssh/lasting_key"}}, Setup: bootIs("first"),
	}
	running, err := lab.Open(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	known := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(known, []byte(fmt.Sprintln(name, strings.TrimSpace(hostKey.Authorized))), 0o600); err != nil {
		t.Fatal(err)
	}
	hop := withKey(reach(t, running, "alice"), key)
	hop.Host, hop.KnownHostsFiles = name, []string{known}

	self := master(t, &contexts.Config{Limits: beat})
	managed := self.Manage(hop, &hastyNow)
	before := asked(t, managed)
	boot := managed.Boot()
	if boot != "first" {
		t.Errorf("the boot is %q, want first", boot)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	back := make(chan error, 1)
	go func() {
		n, err := managed.WaitReboot(ctx, boot)
		if err == nil {
			_, err = whoami.Call(ctx, n, struct{}{})
		}
		back <- err
	}()
	// A lost process is no reboot.
	kill(t, running, syscall.SIGKILL, before.PID)
	eventually(t, patience, "another process answers", func() bool { return asked(t, managed).PID != before.PID })
	select {
	case err := <-back:
		t.Fatalf("the wait for a reboot ended with %v when only a process was lost, want it to go on", err)
	default:
	}
	if err := running.Close(); err != nil {
		t.Fatal(err)
	}
	expectAway(t, managed)
	h.Setup = bootIs("second")
	start(t, h)
	if err := <-back; err != nil {
		t.Fatal(err)
	}
	if boot := managed.Boot(); boot != "second" {
		t.Errorf("the boot is %q, want second", boot)
	}
}
