//go:build linux

package integration

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// restartScript stands for a service. It notes each restart that went well. On h7 the first two
// fail, on h19 the first; on h12 it hangs until somebody says that it may go on; and with a
// broken configuration it fails everywhere.
const restartScript = `#!/bin/sh
echo begun >>/run/begun
grep -q broken /etc/app.conf && { echo 'the configuration is broken' >&2; exit 3; }
case $(hostname) in
h7) [ $(wc -l </run/begun) -gt 2 ] || exit 1 ;;
h19) [ $(wc -l </run/begun) -gt 1 ] || exit 1 ;;
h12) until [ -e /run/go ]; do sleep 0.05; done ;;
esac
echo restarted >>/run/restarts
`

// The example rolls a file out to hosts behind a bastion. It is killed in the middle, goes on
// where it was, tries again what failed, and leaves nothing behind.
func TestExampleRollout(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	n := 30
	if testing.Short() {
		n = 20
	}
	key := lab.NewClientKey(t)
	hosts := fleetHosts(t, n, key, func(_ int, h *lab.Host) {
		h.Users = []lab.User{{Name: "root", Keys: []string{key.Authorized}}}
		h.SSHD.Config = []string{"PermitRootLogin yes"}
		h.Files = map[string]string{"/usr/local/bin/restart-app": restartScript}
	})
	list := make([]*lab.Running, 0, n+1)
	for i := range n {
		list = append(list, hosts[fmt.Sprintf("h%d", i+1)])
	}
	bastion := start(t, lab.Host{Name: "bastion", Users: []lab.User{{Name: "jump", Keys: []string{key.Authorized}}}, SSHD: &lab.SSHD{}})
	list = append(list, bastion)
	for i := 1; i <= n; i++ { // only the bastion reaches the hosts by their names
		if _, err := bastion.Shell(fmt.Sprintf("grep -q 'h%d$' /etc/hosts || echo '%s h%d' >>/etc/hosts", i, list[i-1].IP(), i)); err != nil {
			t.Fatal(err)
		}
	}
	desk, rollout := desk(t, "rollout", key, list...)
	if _, err := desk.Shell("echo 'mode = new' >/home/me/app.conf; echo 'mode = broken' >/home/me/broken.conf"); err != nil {
		t.Fatal(err)
	}
	scenes := make([]scene, 0, n+1)
	for _, h := range list {
		scenes = append(scenes, look(h))
	}
	nothingLeft := func(when string) {
		t.Helper()
		for _, s := range scenes {
			s.quiet(t, deathBudget)
		}
		if t.Failed() {
			t.Fatal("that was " + when)
		}
	}
	args := func(journal string, more ...string) *lab.Cmd {
		return rollout(append([]string{
			"-bastion", "jump@" + bastion.IP(), "-hosts", fmt.Sprintf("h[1-%d]", n), "-config", "/home/me/app.conf", "-to", "/etc/app.conf",
			"-restart", "/usr/local/bin/restart-app", "-run", "/home/me/" + journal,
		}, more...)...)
	}

	// It is killed when the third batch waits for h12 only.
	first := args("journal")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "all of the first three batches but h12 are done, or have failed", func() bool {
		out, _ := desk.Shell(`grep -cE '"state":"(done|failed)"' /home/me/journal`)
		begun, _ := hosts["h12"].Shell("cat /run/begun")
		return strings.TrimSpace(out) == "14" && begun == "begun\n"
	})
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	nothingLeft("after the master was killed")
	if _, err := hosts["h12"].Shell("touch /run/go"); err != nil {
		t.Fatal(err)
	}

	// What is done stays done, h12 is named, and h7 and h19 succeed the second time.
	out, err := args("journal").CombinedOutput()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 {
		t.Errorf("the second run ended with %v, want exit status 1: %s", err, out)
	}
	shows(t, string(out),
		fmt.Sprintf("facts: %d of %d done, 0 before, 0 failed, 0 not tried", n, n),
		fmt.Sprintf("configuration: %d of %d done, 0 before, 0 failed, 0 not tried", n, n),
		fmt.Sprintf("restart: %d of %d done, 13 before, 3 failed, 0 not tried", n-16, n),
		`  h\[7,19\]: .*exit status 1.*`,
		"second restart: 2 of 3 done, 0 before, 1 failed, 0 not tried",
		"  h12: begun by an earlier run, with an unknown result")
	nothingLeft("after the second run")

	// Once somebody has looked, that one is tried, too.
	out, err = args("journal", "-again", "h12").CombinedOutput()
	if err != nil {
		t.Errorf("the third run ended with %v: %s", err, out)
	}
	shows(t, string(out), fmt.Sprintf("restart: 1 of %d done, %d before, 0 failed, 0 not tried", n, n-1))
	for i := range n {
		h := list[i]
		got, err := h.Shell("cat /run/restarts /etc/app.conf && stat -c %a /etc/app.conf")
		if want := "restarted\nmode = new\n644\n"; err != nil || got != want {
			t.Errorf("%s has %q, %v; want one restart, and the file: %q", h.Name(), got, err, want)
		}
	}

	// A broken file is stopped when more than a fifth of the hosts have failed.
	out, err = args("broken", "-config", "/home/me/broken.conf").CombinedOutput()
	if err == nil {
		t.Errorf("a broken configuration was rolled out: %s", out)
	}
	found := regexp.MustCompile(`restart: 0 of \d+ done, 0 before, (\d+) failed, (\d+) not tried`).FindStringSubmatch(string(out))
	var failed, left int
	if found != nil {
		_, _ = fmt.Sscan(found[1]+" "+found[2], &failed, &left)
	}
	if failed <= n/5 || failed > n/5+5 || failed+left != n {
		t.Errorf("%d have failed and %d were not tried, want a few more than %d, and the others: %s", failed, left, n/5, out)
	}
	if strings.Contains(string(out), "second restart") {
		t.Errorf("those that failed were tried again, though the rollout was stopped: %s", out)
	}
	nothingLeft("after the stop")
	for _, s := range scenes {
		s.untouched(t, "/run", "/etc/app.conf")
	}
}
