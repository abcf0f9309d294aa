//go:build linux

package integration

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// laterJob returns a command line that waits for /tmp/go, and then makes a file with this name.
func laterJob(name string) string {
	return `sh -c 'until test -e /tmp/go; do sleep 0.02; done; echo >/tmp/done.` + name + `'`
}

// sshJobs are the ways in which people start a job by ssh that outlives the connection. Each is
// a command line for ssh with a place for the job.
var sshJobs = []struct{ name, line string }{
	{"background", `%s >/dev/null 2>&1 </dev/null &`},
	{"nohup", `nohup %s >/dev/null 2>&1 </dev/null &`},
	{"setsid", `setsid %s >/dev/null 2>&1 </dev/null &`},
	{"fork", `setsid -f %s >/dev/null 2>&1 </dev/null`},
	{"environment", `env -i setsid -f %s >/dev/null 2>&1 </dev/null`},
	{"failure", `setsid %s >/dev/null 2>&1 </dev/null & exit 3`},
	{"python", `python3 -c 'import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True, stdin=-3, stdout=-3, stderr=-3)' %s`},
	{"start-stop-daemon", `/sbin/start-stop-daemon --start --background --name none --startas /bin/sh -- -c "$(cat <<'e'
%s
e
)"`},
	{"tmux", `tmux -L "jobs-$(id -un)" new-session -d -s "s$$" "$(cat <<'e'
%s
e
)"`},
}

// doneJobs returns the names of the jobs that have finished.
func doneJobs(host *lab.Running) []string {
	out, _ := host.Shell("cd /tmp; ls -d done.*")
	return strings.Fields(strings.ReplaceAll(out, "done.", ""))
}

// jobsAwaited returns the names that doneJobs must return in the end.
func jobsAwaited(prefixes ...string) []string {
	var names []string
	for _, p := range prefixes {
		for _, job := range sshJobs {
			names = append(names, p+job.name)
		}
	}
	return names
}

// Jobs that outlive an ssh connection outlive the shim as well. They are started by hand and by a
// tool, behind one hop and two, and the program ends in several ways.
func TestJobsLiveOnAsWithSSH(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	before := look(o.web)
	start := func(name string, cmd *lab.Cmd) {
		t.Helper()
		if got := finish(t, cmd); got.status != 0 && (got.status != 3 || !strings.HasSuffix(name, "failure")) || got.out+got.err != "" {
			t.Errorf("%s ended with %+v, want no output, and status 0 or of a failure 3", name, got)
		}
	}
	line := func(prefix string, i int) string {
		return fmt.Sprintf(sshJobs[i].line, laterJob(prefix+sshJobs[i].name))
	}
	for i := range sshJobs {
		start(sshJobs[i].name, o.desk.Command(t.Context(), "ssh", "-n", strings.Replace(o.path, "ssh:", "ssh://", 1), line("ssh-", i)))
		start(sshJobs[i].name, o.command(t.Context(), "ssh", o.path, line("one-", i)))
		start(sshJobs[i].name, o.command(t.Context(), "ssh", o.path+"/sudo:app", line("two-", i)))
	}
	// A tool that starts all of them, and then kills the program.
	script := "set +e\n"
	for i := range sshJobs {
		script += "ssh -n web \"$(cat <<'outer'\n" + line("kill-", i) + "\nouter\n)\"\n"
	}
	// Jobs whose ssh is killed while their command runs.
	cut := `nohup sh -c '>/tmp/up.a; exec ` + laterJob("cut-nohup") + `' >/dev/null 2>&1 </dev/null &
		setsid sh -c '>/tmp/up.b; exec ` + laterJob("cut-setsid") + `' >/dev/null 2>&1 </dev/null &
		until test -e /tmp/up.a -a -e /tmp/up.b; do sleep 0.01; done; echo ready; sleep 86400`
	cut = strings.NewReplacer(`exec sh -c '`, "", `''`, `'`).Replace(cut)
	script += "mkfifo /tmp/cut; ssh -n web \"$(cat <<'outer'\n" + cut + "\nouter\n)\" >/tmp/cut & p=$!; read word </tmp/cut; rm /tmp/cut; kill -KILL $p\n"
	killed := o.with(t.Context(), behindSudo, "sh", script+"kill -KILL $PPID; sleep 60")
	if got := finish(t, killed); got.status != 137 || got.err != "" {
		t.Errorf("the killed program ended with %+v, want status 137 and no message", got)
	}
	// A job started at a terminal. The terminal's end sends SIGHUP, which nohup ignores.
	start("terminal", o.command(t.Context(), "ssh", o.path, "-n", "-tt", `nohup `+laterJob("terminal")+` >/dev/null 2>&1 </dev/null & sleep 0.1`))
	eventually(t, patience, "no context is left", func() bool {
		return !slices.ContainsFunc(o.web.Processes(), func(p lab.Proc) bool { return strings.Contains(strings.Join(p.Cmdline, " "), "mitosis:") })
	})
	if _, err := o.web.Shell("touch /tmp/go"); err != nil {
		t.Fatal(err)
	}
	want := append(jobsAwaited("ssh-", "one-", "two-", "kill-"), "terminal", "cut-nohup", "cut-setsid")
	slices.Sort(want)
	var got []string
	done := func() bool {
		got = doneJobs(o.web)
		slices.Sort(got)
		return slices.Equal(got, want)
	}
	for end := time.Now().Add(patience); !done(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(end) {
			missing := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(got, s) })
			t.Fatalf("after %v the jobs %v have not finished, want them to outlive their ssh", patience, missing)
		}
	}
	before.quiet(t, patience)
}

// Without KeepJobs no job is left. One line names the job that was ended, and says how it can be
// kept.
func TestJobsThatAreNotWantedEnd(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	scenes := []scene{look(o.desk), look(o.web)}
	job := `setsid -f sleep 86400 >/dev/null 2>&1 </dev/null; until pgrep -x sleep >/dev/null; do :; done`
	told := regexp.MustCompile(`^[^\n]*--keep-jobs[^\n]*processes="sleep \(\d+\)"\n$`)
	for _, args := range [][]string{
		{"ssh", "--keep-jobs=false", o.path, job},
		{"with", "--keep-jobs=false", o.path, "--", "ssh", "web", job},
		{"run", o.path, "--", "sh", "-c", job},
	} {
		got := finish(t, o.command(t.Context(), args...))
		if got.status != 0 || got.out != "" || !told.MatchString(got.err) {
			t.Errorf("%q ended with %+v, want status 0 and the message %v", args, got, told)
		}
	}
	for _, s := range scenes {
		s.restored(t, patience)
	}
}

// Ansible starts a job and does not wait for it. The job goes on when Ansible and the program
// have ended.
func TestAnsibleJobThatIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	before := look(o.web)
	for _, a := range []closedAccount{behindSudo, {"ssh", "", "deploy", "/home/deploy"}} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		script := `cd "$(mktemp -d)"; export HOME=$PWD ANSIBLE_NOCOLOR=1 ANSIBLE_LOCALHOST_WARNING=0
echo 'web ansible_python_interpreter=/usr/bin/python3' >inventory
ansible -i inventory web -B 60 -P 0 -m shell -a "until test -e /tmp/go; do sleep 0.02; done; echo >/tmp/done.NAME" >out 2>&1 || { cat out; exit 1; }
grep -q '"started": 1' out || cat out; cd /; rm -r "$OLDPWD"`
		cmd := o.with(ctx, a, "sh", strings.ReplaceAll(script, "NAME", a.name))
		if got := finish(t, cmd); got != (result{}) {
			t.Errorf("%s ended with %+v, want status 0 and no output", a.name, got)
		}
	}
	if _, err := o.web.Shell("touch /tmp/go"); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "both jobs are done", func() bool {
		return slices.Equal(doneJobs(o.web), []string{"ssh", "sudo"})
	})
	before.quiet(t, patience)
}
