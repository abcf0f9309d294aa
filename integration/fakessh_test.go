//go:build linux

package integration

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// A closedAccount is an account without login, with the hops that lead to it from the office's
// host.
type closedAccount struct {
	name, hops string
	user, home string
}

var (
	behindSudo    = closedAccount{"sudo", "/sudo:app", "app", "/home/app"}
	inAContainer  = closedAccount{"container", "/sudo/podman:box", "root", "/root"}
	bothAccounts  = []closedAccount{behindSudo, inAContainer}
	containerHost = lab.Host{Cgroups: true, Setup: []string{podmanConfig, startBox}}
)

// startBox starts a container whose programs are those of the host.
const startBox = `set -e; b=/srv/box; mkdir -p $b; cd $b
mkdir -p usr etc proc dev tmp root sys run var/tmp; chmod 1777 tmp var/tmp; chmod 700 root
for d in bin sbin lib lib64; do ln -s usr/$d $d; done
cp -a /etc/alternatives /etc/ld.so.c* /etc/nsswitch.conf /etc/passwd /etc/group etc
tar -c . | podman import - box
podman run -d --name box -v /usr:/usr:ro localhost/box sh -c 'while :; do sleep 86400; done'
`

// toolTraces are the files that ssh, sshfs and the hop into the container leave on the two
// hosts.
var toolTraces = []string{"/root/.ssh/known_hosts", "/dev/fuse", "/srv/graph/libpod", "/srv/graph/secrets", "/srv/graph/vfs-containers"}

// with returns a command that runs a script at the desk. For its ssh every host name leads to an
// account.
func (o *office) with(ctx context.Context, a closedAccount, shell, script string) *lab.Cmd {
	return o.command(ctx, "with", o.path+a.hops, "--", shell, "-euc", script)
}

// inDirectories surrounds a script with the making and removing of two directories, $here and
// $there. The script starts in $here. If it fails, it prints the last commands of its trace.
func inDirectories(a closedAccount, script string) string {
	return `here=$(mktemp -d); there=$(ssh -n web mktemp -d ` + a.home + `/XXXXXX); cd "$here"; export HOME=$here
exec 9>"$here.trace"; BASH_XTRACEFD=9; set -x
trap 's=$?; test $s = 0 || tail -n 5 "$here.trace" >&2; rm "$here.trace"' EXIT
` + script + `
ssh -n web rm -r "$there"; cd /; rm -r "$here"`
}

// summary is a piece of script that describes all files below the working directory.
const summary = `find . -printf "%P %y %m %l %s %n %Ts\n" | sort; find . -type f | LC_ALL=C sort | xargs -r -d "\n" sha256sum`

// attributes is a piece of script that prints the access control lists and the extended
// attributes of these files.
const attributes = `find . ! -type l | LC_ALL=C sort | tr "\n" "\0" >/tmp/$$.list; xargs -0 getfacl -pn </tmp/$$.list | grep -v "^# [og]"; xargs -0 getfattr -m ^user -d </tmp/$$.list; rm /tmp/$$.list`

// same returns a script that fails unless another script prints the same text in a directory at
// the desk and in one at the far side.
func same(here, there, script string) string {
	return `(cd ` + here + ` && ` + script + `) >"$here.1"; ssh -n web "cd ` + there + ` && $(cat <<'e'
` + script + `
e
)" >"$here.2"; diff "$here.1" "$here.2"; rm "$here.1" "$here.2"
`
}

// sameTrees returns a script that fails unless the two directories have equal files.
func sameTrees(here, there string) string { return same(here, there, summary) }

// TestToolsThatSpeakSSH runs the real tools in accounts that ssh cannot reach, in all accounts at
// the same time.
func TestToolsThatSpeakSSH(t *testing.T) {
	t.Parallel()
	o := newOfficeOf(t, containerHost)
	scenes := []scene{look(o.desk), look(o.web)}
	t.Run("at once", func(t *testing.T) {
		for _, a := range bothAccounts {
			for _, tool := range slices.Concat(tools, fileTools) {
				t.Run(tool.name+" by "+a.name, func(t *testing.T) {
					if strings.HasPrefix(tool.name, "sshfs") {
						requireFUSE(t)
					}
					t.Parallel()
					o.works(t, a, inDirectories(a, tool.script))
				})
			}
		}
		t.Run("from one to the other", func(t *testing.T) {
			t.Parallel()
			o.worksBetween(t)
		})
	})
	for _, s := range scenes {
		s.restored(t, patience, toolTraces...)
	}
}

// requireFUSE skips the test on machines without FUSE. With CI=true it fails there.
func requireFUSE(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err == nil {
		f.Close()
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// works runs a script in an account. It must end with status 0 and print nothing.
func (o *office) works(t *testing.T, a closedAccount, script string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	begin := time.Now()
	if got := finish(t, o.with(ctx, a, "bash", script)); got != (result{}) {
		t.Errorf("the script ended with %+v, want status 0 and no output", got)
	}
	t.Logf("%v", time.Since(begin))
}

// worksBetween has scp copy between two accounts, by both of its protocols.
func (o *office) worksBetween(t *testing.T) {
	t.Helper()
	var args []string
	for _, a := range bothAccounts {
		args = append(args, a.name+"="+o.path+a.hops)
	}
	script := `
		ssh -n sudo 'mkdir tree && seq 100000 >tree/f && echo x >tree/x && chmod 600 tree/x'
		for o in -s -O; do
			scp -q -3 -pr $o sudo:tree container:tree$o
			scp -q -3 -pr $o container:tree$o sudo:back$o
			ssh -n sudo "diff -r tree back$o && test \$(stat -c %a back$o/x) = 600 && rm -r back$o"
			ssh -n container "rm -r ./tree$o"
		done
		ssh -n sudo rm -r tree`
	args = append(append([]string{"with"}, args...), "--", "sh", "-euc", script)
	if got := finish(t, o.command(t.Context(), args...)); got != (result{}) {
		t.Errorf("the script ended with %+v, want status 0 and no output", got)
	}
}
