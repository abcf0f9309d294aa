//go:build linux

package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// The variables lead to hops, and failures of these are what Ansible expects.
func TestAnsibleWays(t *testing.T) {
	t.Parallel()
	lab.Require(t)
	p := newPlayHost(t, "")
	p.write(t, "inventory", fmt.Sprintf(`
[all:vars]
ansible_python_interpreter=/usr/bin/python3
here=%[1]s
ansible_user=deploy
ansible_host="{{ here }}"
[all]
password ansible_ssh_common_args='-o PubkeyAuthentication=no' ansible_password=%[2]s
wrong-password ansible_ssh_common_args='-o PubkeyAuthentication=no' ansible_password=wrong
no-password ansible_ssh_common_args='-o PubkeyAuthentication=no'
unknown-key ansible_ssh_common_args='-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes'
any-key ansible_ssh_common_args='-o UserKnownHostsFile=/dev/null' ansible_host_key_checking=false
key ansible_ssh_private_key_file=~/.ssh/id_ed25519 ansible_ssh_extra_args='-o IdentitiesOnly=yes -o ControlMaster=auto -C'
program ansible_ssh_args='-o GSSAPIAuthentication=no'
chroot ansible_mitosis_method=chroot ansible_host=/ ansible_mitosis_via='ssh:deploy@{{ here }}/sudo' ansible_user=app
local ansible_mitosis_method=local ansible_user=root
other-user ansible_mitosis_method=local ansible_mitosis_via='ssh:carol@{{ here }}' ansible_user=carol
jump ansible_ssh_common_args='-J carol@{{ here }}'
discovery ansible_python_interpreter=auto
fish ansible_user=fish
tcsh ansible_user=tcsh
no-name ansible_host=no-such-host.invalid
bad-path ansible_mitosis_via='nonsense:x?y'
no-key ansible_ssh_private_key_file=/no/key
`, p.target.IP(), rightPassword))
	p.write(t, "ways.yml", `
- hosts: all
  gather_facts: false
  tasks:
    - {shell: 'echo $(hostname) $(id -un)', register: who}
    - {copy: {content: "{{ inventory_hostname }}", dest: "/tmp/way-{{ inventory_hostname }}"}}
    - {command: "cat /tmp/way-{{ inventory_hostname }}"}
`)
	out := p.play(t, "ways.yml", overMitosis, "ANSIBLE_FORKS=1", "ANSIBLE_STDOUT_CALLBACK=default")
	recap := map[string]string{}
	for line := range strings.Lines(out[strings.Index(out, "PLAY RECAP")+1:]) {
		if name, rest, ok := strings.Cut(line, ":"); ok {
			recap[strings.TrimSpace(name)] = strings.Join(strings.Fields(rest), " ")
		}
	}
	const works = "ok=3 changed=3 unreachable=0 failed=0"
	for name, want := range map[string]string{
		"password": works, "any-key": works, "key": works, "program": works, "chroot": works, "local": works, "other-user": works, "jump": works,
		"discovery": works, "fish": works, "tcsh": works,
		"wrong-password": "unreachable=1", "no-password": "unreachable=1", "unknown-key": "unreachable=1", "no-name": "unreachable=1", "bad-path": "failed=1", "no-key": "unreachable=1",
	} {
		if !strings.Contains(recap[name], want) {
			t.Errorf("the recap of %s is %q, want %q", name, recap[name], want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

// A broker that the user has started keeps hosts connected between two runs.
func TestAnsibleUsersBroker(t *testing.T) {
	t.Parallel()
	lab.Require(t)
	p := newPlayHost(t, "")
	p.write(t, "ping.yml", "- {hosts: target, gather_facts: false, tasks: [{ping: }, {command: 'id -un', become: true}]}\n")
	desk, target := look(p.desk), look(p.target)
	const users = "ANSIBLE_MITOSIS_BROKER=user"
	if out := p.play(t, "ping.yml", overMitosis, users); !strings.Contains(out, "no broker listens") || !strings.Contains(out, `"unreachable": 1`) {
		t.Errorf("without a broker the playbook says %s", out)
	}
	if out, err := p.desk.Exec(t.Context(), p.program, "broker", "start"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var first, second string
	for _, list := range []*string{&first, &second} {
		if out := p.play(t, "ping.yml", overMitosis, users); !strings.Contains(out, `"ok": 2`) {
			t.Errorf("with a broker the playbook says %s", out)
		}
		out, err := p.desk.Exec(t.Context(), p.program, "broker", "list")
		if err != nil || strings.Count(out, "\n") != 2 || !strings.Contains(out, "/sudo") {
			t.Errorf("the broker has %q, %v, want the host and sudo there", out, err)
		}
		*list = out
		*list += fmt.Sprint(target.newProcesses())
	}
	if first != second {
		t.Errorf("the second run has left %s, want what the first had: %s", second, first)
	}
	if out, err := p.desk.Exec(t.Context(), p.program, "broker", "stop"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	desk.quiet(t, 10*time.Second)
	target.quiet(t, 10*time.Second)
}

// What a playbook leaves running goes on after it, as with ssh: jobs of async, and what a module has
// detached.
func TestAnsibleLeavesJobs(t *testing.T) {
	t.Parallel()
	lab.Require(t)
	p := newPlayHost(t, "")
	p.write(t, "jobs.yml", `
- hosts: target
  gather_facts: false
  tasks:
    - {shell: 'sleep 3; echo async > /tmp/async', async: 60, poll: 0}
    - {shell: 'setsid sh -c "sleep 3; echo setsid > /tmp/setsid" </dev/null >/dev/null 2>&1 &'}
    - {shell: 'setsid sh -c "sleep 3; echo root > /tmp/root" </dev/null >/dev/null 2>&1 &', become: true}
    - {raw: 'nohup sh -c "sleep 3; echo raw > /tmp/raw" </dev/null >/dev/null 2>&1 &', become: true}
`)
	desk, before := look(p.desk), look(p.target)
	if out := p.play(t, "jobs.yml", overMitosis); !strings.Contains(out, `"unreachable": 0`) || strings.Contains(out, "failed |") {
		t.Fatal(out)
	}
	desk.quiet(t, 10*time.Second)
	eventually(t, patience, "all jobs have ended", func() bool {
		out, err := p.target.Shell("cat /tmp/async /tmp/setsid /tmp/root /tmp/raw 2>/dev/null || true")
		return err == nil && out == "async\nsetsid\nroot\nraw\n"
	})
	before.quiet(t, 10*time.Second)
}

// A host that is cut off is unreachable after the heartbeat, and the others go on.
func TestAnsibleHostDies(t *testing.T) {
	t.Parallel()
	lab.Require(t)
	p, q := newPlayHost(t, ""), (*lab.Running)(nil)
	key, err := p.desk.Exec(t.Context(), "ssh-keygen", "-y", "-f", "/root/.ssh/id_ed25519")
	if err != nil {
		t.Fatal(err)
	}
	q = lab.Start(t, lab.Host{Name: "other", Users: []lab.User{{Name: "deploy", Keys: []string{strings.TrimSpace(key)}}}, SSHD: &lab.SSHD{}})
	p.write(t, "inventory", fmt.Sprintf("[all:vars]\nansible_python_interpreter=/usr/bin/python3\nansible_user=deploy\nansible_host_key_checking=false\n[all]\ndies ansible_host=%s\nlives ansible_host=%s\n", p.target.IP(), q.IP()))
	p.write(t, "dies.yml", `
- hosts: all
  gather_facts: false
  tasks:
    - {command: touch /tmp/begun}
    - {shell: 'while ! test -e /tmp/go-on; do sleep 0.1; done'}
    - {command: touch /tmp/finished}
`)
	cmd := p.command(t, "dies.yml", overMitosis)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	there := func(h *lab.Running, file string) func() bool {
		return func() bool { _, err := h.Exec(t.Context(), "test", "-e", file); return err == nil }
	}
	eventually(t, patience, "both hosts work", func() bool {
		return slices.Equal([]bool{there(p.target, "/tmp/begun")(), there(q, "/tmp/begun")()}, []bool{true, true})
	})
	if err := p.target.Cut(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := q.Shell("touch /tmp/go-on"); err != nil {
		t.Fatal(err)
	}
	if status := shellStatus(t, cmd.Wait()); status != 4 {
		t.Errorf("ansible-playbook ended with status %d, want 4 for a host that is not reachable", status)
	}
	if d, limit := time.Since(began), stretched(90*time.Second); d > limit {
		t.Errorf("the end came %v after the cut, want at most %v", d, limit)
	}
	if !there(q, "/tmp/finished")() || !strings.Contains(out.String(), "unreachable |") {
		t.Errorf("the other host has not finished, or none was unreachable:\n%s", out.String())
	}
}
