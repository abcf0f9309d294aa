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

// A closedAccount is one that nobody can log in to, with the hops from the office's
// host to it.
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

// toolTraces are the files that the tests leave on the two hosts: of ssh, of sshfs, and of
// the hop into the container.
var toolTraces = []string{"/root/.ssh/known_hosts", "/dev/fuse", "/srv/graph/libpod", "/srv/graph/secrets", "/srv/graph/vfs-containers"}

// with runs a script at the desk in which every host is an account.
func (o *office) with(ctx context.Context, a closedAccount, shell, script string) *lab.Cmd {
	return o.command(ctx, "with", o.path+a.hops, "--", shell, "-euc", script)
}

// inDirectories surrounds a script: it gets a directory of its own here, where it
// starts, and one there, both of which are gone in the end. A script that fails
// says where.
func inDirectories(a closedAccount, script string) string {
	return `here=$(mktemp -d); there=$(ssh -n web mktemp -d ` + a.home + `/XXXXXX); cd "$here"; export HOME=$here
exec 9>"$here.trace"; BASH_XTRACEFD=9; set -x
trap 's=$?; test $s = 0 || tail -n 5 "$here.trace" >&2; rm "$here.trace"' EXIT
` + script + `
ssh -n web rm -r "$there"; cd /; rm -r "$here"`
}

// summary is a piece of script that tells all about the tree in the working
// directory.
const summary = `find . -printf "%P %y %m %l %s %n %Ts\n" | sort; find . -type f | LC_ALL=C sort | xargs -r -d "\n" sha256sum`

// attributes is one that tells the access control lists and the attributes of
// its files, of every owner.
const attributes = `find . ! -type l | LC_ALL=C sort | tr "\n" "\0" >/tmp/$$.list; xargs -0 getfacl -pn </tmp/$$.list | grep -v "^# [og]"; xargs -0 getfattr -m ^user -d </tmp/$$.list; rm /tmp/$$.list`

// same fails unless a script prints the same in a directory here as in one
// there.
func same(here, there, script string) string {
	return `(cd ` + here + ` && ` + script + `) >"$here.1"; ssh -n web "cd ` + there + ` && $(cat <<'e'
` + script + `
e
)" >"$here.2"; diff "$here.1" "$here.2"; rm "$here.1" "$here.2"
`
}

// sameTrees fails unless a directory at the desk is as one at the far side.
func sameTrees(here, there string) string { return same(here, there, summary) }

// TestToolsThatSpeakSSH has the real tools work in accounts that cannot be
// reached by ssh, all of them at once.
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

// requireFUSE skips the test where file systems cannot be made of programs,
// except where that must be tested.
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

// works runs a script that fails and says so where something is not as it
// should be.
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
