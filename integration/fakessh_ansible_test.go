//go:build linux

package integration

import (
	"testing"
)

// playbook works in an empty directory "there". A task that fails ends it. Each check uses
// another module than the task that it checks.
const playbook = `
cat >play.yml <<'e'
- hosts: web
  gather_facts: false
  tasks:
    - ping:
    - copy: {src: big, dest: "{{ there }}/big", mode: "0640"}
    - template: {src: page.j2, dest: "{{ there }}/page"}
      register: page
    - template: {src: page.j2, dest: "{{ there }}/page"}
      register: again
    - assert: {that: [page.changed, not again.changed]}
    - shell: echo "$0 $USER"; cat; exit 3
      args: {stdin: typed}
      register: out
      failed_when: out.rc != 3 or out.stdout_lines != ["/bin/sh " + account, "typed"]
    - shell: sleep 0.3; echo late >"{{ there }}/late"
      async: 30
      poll: 0
      register: job
    - stat: {path: "{{ there }}/none"}
      register: absent
      failed_when: absent.stat.exists
    - async_status: {jid: "{{ job.ansible_job_id }}"}
      register: state
      until: state.finished
      retries: 100
      delay: 0.1
    - fetch: {src: "{{ there }}/big", dest: fetched, flat: true}
e
echo 'for {{ account }}: {{ 6 * 7 }}' >page.j2; seq 100000 >big
cat >inventory <<e
web ansible_python_interpreter=/usr/bin/python3 ansible_remote_tmp=$there/tmp ansible_async_dir=$there/async there=$there account=$(ssh -n web id -un)
e
export ANSIBLE_NOCOLOR=1 ANSIBLE_LOCALHOST_WARNING=0 ANSIBLE_LOCAL_TEMP=$here/tmp
`

// Ansible uses the shim only because of ANSIBLE_SSH_EXECUTABLE and variables like it. It copies
// by sftp, and with pipelining by the input of python.
func TestAnsible(t *testing.T) {
	t.Parallel()
	o := newOfficeOf(t, containerHost)
	scenes := []scene{look(o.desk), look(o.web)}
	t.Run("at once", func(t *testing.T) {
		for i, a := range bothAccounts {
			t.Run(a.name, func(t *testing.T) {
				t.Parallel()
				script := playbook
				if i == 0 {
					script += "export ANSIBLE_PIPELINING=1\n"
				}
				o.works(t, a, inDirectories(a, script+`
test "$ANSIBLE_SSH_EXECUTABLE" = "$(command -v ssh)"
PATH=/usr/sbin:/usr/bin:/sbin:/bin ansible-playbook -i inventory play.yml >out 2>&1 || { cat out; exit 1; }
ssh -n web cat "$there/big" | cmp - big; cmp fetched big; test "$(ssh -n web stat -c %a "$there/big")" = 640
test "$(ssh -n web cat "$there/page" "$there/late" | tr '\n' ,)" = "for $(ssh -n web id -un): 42,late,"`))
			})
		}
	})
	for _, s := range scenes {
		s.restored(t, patience, toolTraces...)
	}
}
