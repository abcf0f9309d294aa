//go:build linux

package integration

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// busyPlay goes on for as long as it is let: short tasks, with and without become.
const busyPlay = `
- hosts: target,asks
  gather_facts: false
  tasks:
    - {command: /bin/true, loop: "{{ range(1000) | list }}"}
    - {command: /bin/true, loop: "{{ range(1000) | list }}", become: true}
`

// A playbook that is killed at any moment leaves nothing, at the desk and at the host.
func TestAnsibleKilled(t *testing.T) {
	t.Parallel()
	lab.Require(t)
	p := newPlayHost(t, "")
	p.write(t, "busy.yml", busyPlay)
	desk, target := look(p.desk), look(p.target)
	times := 50
	if testing.Short() {
		times = 6
	}
	for i := range times {
		cmd := p.command(t, "busy.yml", overMitosis)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Moments from the start of the broker to the middle of the second task.
		time.Sleep(time.Duration(i+1) * stretched(6*time.Second) / time.Duration(times))
		// Every second time its workers live on, until they notice.
		victims := -cmd.Process.Pid
		if i%2 == 1 {
			victims = cmd.Process.Pid
		}
		if err := syscall.Kill(victims, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		desk.quiet(t, 5*time.Second)
		target.quiet(t, 5*time.Second)
		if left, err := p.desk.Shell("ls -A /root/.cache/mitosis/run 2>/dev/null || true"); err != nil || left != "" {
			t.Errorf("the directory of sockets has %q, %v, want nothing", left, err)
		}
		if t.Failed() {
			t.Fatalf("after %d times: %s", i+1, out.String())
		}
	}
}
