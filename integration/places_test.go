//go:build linux

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/container"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// makeTree makes a root file system with busybox in /srv/tree. %s are the libraries of the test
// binary, which the race detector has linked dynamically.
const makeTree = `set -e; t=/srv/tree
mkdir -p $t/bin $t/etc $t/proc $t/dev $t/tmp $t/sys $t/sbin $t/root $t/var
chmod 1777 $t/tmp; ln -s ../tmp $t/var/tmp; mknod -m 666 $t/dev/null c 1 3
echo ::once:/bin/true >$t/etc/inittab; ln -s ../bin/busybox $t/sbin/init
cp "$(command -v busybox)" $t/bin/busybox; chroot $t /bin/busybox --install -s /bin
echo root:x:0:0::/root:/bin/sh >$t/etc/passwd; echo app:x:3000:3000::/:/bin/sh >>$t/etc/passwd
echo root:x:0: >$t/etc/group; echo app:x:3000: >>$t/etc/group
echo tree >$t/etc/place
for lib in %s; do mkdir -p $t$(dirname $lib); cp -L $lib $t$lib; done
`

// withTree returns the setup of a host that has such a tree.
func withTree(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ldd", self).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "not a dynamic executable") {
		t.Fatalf("ldd of the test program: %v: %s", err, out)
	}
	libs := regexp.MustCompile(`/\S+`).FindAllString(strings.ReplaceAll(string(out), self+":", ""), -1)
	return fmt.Sprintf(makeTree, strings.Join(libs, " "))
}

// A way is a hop from a host into a container or namespace of that host.
type way struct {
	name   string
	method connect.Method
	uid    int
	reason error  // class of the error wanted; nil if the hop must work
	text   string // text that the error must have
}

// walk makes the hop of each way from a context of root's on the host. If the hop works, its
// root must be the tree if inTree is true, the link must carry all bytes, and Close must leave no
// process. walk returns root's context, which has packed its image already.
func walk(t *testing.T, host *lab.Running, inTree bool, ways []way) *contexts.Node {
	t.Helper()
	from := enter(t, master(t, nil), host, "")
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			if w.reason != nil {
				err := refused(t, from, w.method, w.reason, 10*time.Second)
				if !strings.Contains(err.Error(), w.text) || !strings.Contains(err.Error(), "lab:"+host.Name()+"/") {
					t.Errorf("the error is %q, want %q and the path of the hop in it", err, w.text)
				}
				t.Log(err)
				who(t, from)
				return
			}
			before := look(host)
			n := child(t, from, w.method)
			if id := who(t, n); id.UID != w.uid || id.Path != n.String() {
				t.Errorf("the context is %+v, want uid %d at %v", id, w.uid, n)
			}
			if place, err := readFile.Call(t.Context(), n, "/etc/place"); inTree && place != "tree\n" {
				t.Errorf("/etc/place has %q, %v, want tree", place, err)
			}
			linkIsClean(t, n)
			// A program that nobody waits for and that ignores signals.
			if _, err := spawn.Call(t.Context(), n, []string{"sh", "-c", "trap '' TERM HUP; while :; do sleep 1000; done"}); err != nil {
				t.Error(err)
			}
			start := time.Now()
			if err := n.Close(); err != nil {
				t.Error(err)
			}
			t.Logf("closed in %v", time.Since(start))
			before.quiet(t, 5*time.Second)
		})
	}
	return from
}

// bereave makes the hop of each way from a context and kills its client. On the last way it then
// kills the context that made the hop. The child must notice the loss by itself. It goes on
// without a client that does not relay the link.
func bereave(t *testing.T, host *lab.Running, from *contexts.Node, client string, relays bool, ways ...connect.Method) {
	t.Helper()
	connected := func(t *testing.T, m connect.Method) *contexts.Node {
		n := child(t, from, m)
		if _, err := spawn.Call(t.Context(), n, []string{"sleep", "86301"}); err != nil {
			t.Error(err)
		}
		return n
	}
	lost := func(t *testing.T, n *contexts.Node) {
		select {
		case <-n.Done():
		case <-time.After(patience):
			t.Errorf("after %v the loss of the child is not noticed", patience)
		}
	}
	for _, m := range ways {
		t.Run(m.Label()+" without "+client, func(t *testing.T) {
			before := look(host)
			n := connected(t, m)
			killNew(t, before, client)
			if !relays {
				who(t, n)
				if err := n.Close(); err != nil {
					t.Error(err)
				}
			}
			lost(t, n)
			before.quiet(t, 5*time.Second)
		})
	}
	t.Run("without the context", func(t *testing.T) {
		before := look(host)
		n := connected(t, ways[len(ways)-1])
		if out, err := host.Shell("kill -9 " + itoa(who(t, from).PID)); err != nil {
			t.Fatal(out, err)
		}
		lost(t, n)
		before.quiet(t, 5*time.Second)
	})
}

// killNew kills the new process on the host whose name is client.
func killNew(t *testing.T, before scene, client string) {
	t.Helper()
	for _, p := range before.newProcesses() {
		if len(p.Cmdline) > 0 && p.Cmdline[0] == client {
			if out, err := before.host.Shell("kill -9 " + itoa(p.PID)); err != nil {
				t.Error(out, err)
			}
			return
		}
	}
	t.Errorf("the host has no new process of %s, want one to kill", client)
}

func TestChroot(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	host := start(t, lab.Host{
		Users: []lab.User{{Name: "deploy"}},
		Setup: []string{
			withTree(t), "mount -t proc proc /srv/tree/proc; mkdir -p /srv/bare/bin /srv/empty",
			"mkdir /opt/bb; ln -s \"$(command -v busybox)\" /opt/bb/chroot",
		},
	})
	walk(t, host, true, []way{
		{name: "root", method: container.Chroot{Dir: "/srv/tree"}},
		{name: "user", method: container.Chroot{Dir: "/srv/tree", User: "app:app"}, uid: 3000},
		{name: "busybox", method: container.Chroot{Dir: "/srv/tree", Path: "/opt/bb/chroot"}},
		{name: "no such tree", method: container.Chroot{Dir: "/srv/none"}, reason: connect.ErrNoContainer, text: "No such file"},
		{name: "no shell", method: container.Chroot{Dir: "/srv/empty"}, reason: connect.ErrStart, text: "needs /bin/sh"},
		{name: "no chroot", method: container.Chroot{Dir: "/srv/tree", Path: "/opt/none"}, reason: connect.ErrNoContainer, text: "/opt/none"},
	})
	user := enter(t, master(t, nil), host, "deploy")
	refused(t, user, container.Chroot{Dir: "/srv/tree"}, connect.ErrPermission, patience)
}

func TestUnshare(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	host := start(t, lab.Host{
		Users: []lab.User{{Name: "deploy"}},
		Setup: []string{"mkdir /opt/bb; ln -s \"$(command -v busybox)\" /opt/bb/unshare"},
	})
	walk(t, host, false, []way{
		{name: "all", method: container.Unshare{}},
		{name: "mount", method: container.Unshare{Namespaces: container.Namespaces{Mount: true}}},
		{name: "busybox", method: container.Unshare{Path: "/opt/bb/unshare"}},
		{name: "no unshare", method: container.Unshare{Path: "/opt/none"}, reason: connect.ErrStart, text: "/opt/none"},
	})
	user := enter(t, master(t, nil), host, "deploy")
	refused(t, user, container.Unshare{}, connect.ErrPermission, patience)

	// The mounts of the namespace are not visible outside. The child has a low process ID,
	// since the guard has 1.
	root := enter(t, master(t, nil), host, "")
	n := child(t, root, container.Unshare{})
	if id := who(t, n); id.PID > 100 {
		t.Errorf("the context is %+v, want a low pid, of a namespace of its own", id)
	}
	if out, err := run.Call(t.Context(), n, []string{"sh", "-c", "mount -t tmpfs inner /mnt && hostname inner && touch /mnt/x && ip link"}); err != nil || strings.Contains(out, "eth0") {
		t.Errorf("inside: %v: %s, want no error and no eth0", err, out)
	}
	if out, err := host.Shell("ls /mnt; hostname"); err != nil || strings.Contains(out, "x\n") || strings.Contains(out, "inner") {
		t.Errorf("outside: %q, %v, want nothing of the mount and name inside", out, err)
	}
	// A new user namespace needs no root.
	inner := child(t, user, container.Unshare{Namespaces: container.Namespaces{User: true, Mount: true, PID: true}})
	if id := who(t, inner); id.UID != 0 {
		t.Errorf("the context is %+v, want root in the namespace", id)
	}
}

func TestNsenter(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	host := start(t, lab.Host{
		Name:  "outside",
		Users: []lab.User{{Name: "deploy"}},
		Setup: []string{withTree(t), startLXC, "mkdir /opt/bb; ln -s \"$(command -v busybox)\" /opt/bb/nsenter; mkdir -p /var/lib/lxc/stopped; cp /var/lib/lxc/web/config /var/lib/lxc/stopped",
			// Stubs for tools that this host lacks print the process ID of the same container.
			"for tool in docker podman machinectl; do printf '#!/bin/sh\\ncase \"$*\" in *web) lxc-info -n web -p -H;; *) echo no such container >&2; exit 1;; esac\\n' >/usr/local/sbin/$tool; chmod 755 /usr/local/sbin/$tool; done"},
	})
	out, err := host.Shell("lxc-info -n web -p -H")
	var pid int
	if _, scanErr := fmt.Sscan(out, &pid); err != nil || scanErr != nil {
		t.Fatal(out, err)
	}
	ways := []way{
		{name: "number", method: container.Nsenter{PID: pid}},
		{name: "busybox", method: container.Nsenter{PID: pid, Path: "/opt/bb/nsenter"}},
		{name: "no such process", method: container.Nsenter{PID: 4000000}, reason: connect.ErrNoContainer, text: "/proc/4000000/ns"},
		{name: "stopped", method: container.Nsenter{Container: "stopped", Runtime: container.RuntimeLXC}, reason: connect.ErrNoContainer, text: "start it"},
		{name: "no lxc", method: container.Nsenter{Container: "none", Runtime: container.RuntimeLXC}, reason: connect.ErrNoContainer, text: "exist"},
	}
	for runtime, name := range map[container.Runtime]string{
		container.RuntimeDocker: "docker", container.RuntimePodman: "podman", container.RuntimeLXC: "lxc", container.RuntimeMachinectl: "machinectl",
	} {
		ways = append(ways,
			way{name: name, method: container.Nsenter{Container: "web", Runtime: runtime}},
			way{name: name + ", none", method: container.Nsenter{Container: "none", Runtime: runtime}, reason: connect.ErrNoContainer, text: "first process"})
	}
	from := walk(t, host, true, ways)
	refused(t, enter(t, master(t, nil), host, "deploy"), container.Nsenter{PID: pid}, connect.ErrPermission, patience)
	bereave(t, host, from, "nsenter", false, container.Nsenter{PID: pid})
	// The child shares only the network namespace of the container. All else is the host's.
	n := child(t, enter(t, master(t, nil), host, ""), container.Nsenter{PID: pid, Namespaces: container.Namespaces{Net: true}})
	if out, err := run.Call(t.Context(), n, []string{"sh", "-c", "hostname; ip link"}); err != nil || !strings.HasPrefix(out, "outside\n") || strings.Contains(out, "eth0") {
		t.Errorf("inside: %v: %s, want the name outside and no eth0", err, out)
	}
}

// startLXC starts the container web from the tree.
const startLXC = `set -e; mkdir -p /var/lib/lxc/web
cat >/var/lib/lxc/web/config <<END
lxc.uts.name = web
lxc.rootfs.path = dir:/srv/tree
lxc.net.0.type = empty
lxc.mount.auto = proc:rw
lxc.apparmor.profile = unconfined
lxc.init.cmd = /sbin/init
lxc.autodev = 1
END
lxc-start -n web
lxc-wait -n web -s RUNNING -t 20
`

func TestLXC(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	quickly := []string{"--set-var", "GORACE=" + quickEnd}
	host := start(t, lab.Host{
		Cgroups: true, Users: []lab.User{{Name: "deploy"}},
		Setup: []string{withTree(t), startLXC, "mkdir -p /var/lib/lxc/stopped; cp /var/lib/lxc/web/config /var/lib/lxc/stopped"},
	})
	from := walk(t, host, true, []way{
		{name: "attach", method: container.LXC{Container: "web", Args: quickly}},
		{name: "another directory", method: container.LXC{Container: "web", Dir: "/var/lib/lxc"}},
		{name: "user", method: container.LXC{Container: "web", Args: append([]string{"--uid=3000"}, quickly...)}, uid: 3000},
		{name: "none", method: container.LXC{Container: "none"}, reason: connect.ErrNoContainer, text: "init pid"},
		{name: "stopped", method: container.LXC{Container: "stopped"}, reason: connect.ErrNoContainer, text: "init pid"},
		{name: "no lxc-attach", method: container.LXC{Container: "web", Path: "/opt/none"}, reason: connect.ErrNoContainer, text: "/opt/none"},
	})
	refused(t, enter(t, master(t, nil), host, "deploy"), container.LXC{Container: "web"}, connect.ErrPermission, patience)
	bereave(t, host, from, "lxc-attach", false, container.LXC{Container: "web", Args: quickly})
}

// podmanConfig makes podman's images and containers the host's own. No network is
// made, and limits stay below those that the machine may not raise.
const podmanConfig = `set -e; mkdir -p /etc/containers
cat >/etc/containers/containers.conf <<END
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
END
printf '[storage]\ndriver = "vfs"\ngraphroot = "/srv/graph"\nrunroot = "/run/graph"\n' >/etc/containers/storage.conf
`

const podmanSetup = podmanConfig + `
tar -C /srv/tree -c . | podman import - base
podman run -d --name web base init
podman create --name stopped base sleep 1
mkdir -p /srv/empty/etc; tar -C /srv/empty -c . | podman import - empty
`

func TestPodman(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	host := start(t, lab.Host{Cgroups: true, Setup: []string{withTree(t), podmanSetup}})
	quickly := []string{"--env", "GORACE=" + quickEnd}
	from := walk(t, host, true, []way{
		{name: "exec", method: container.Podman{Container: "web", Args: quickly}},
		{name: "exec as a user", method: container.Podman{Container: "web", User: "app", Args: quickly}, uid: 3000},
		{name: "run", method: container.Podman{Image: "localhost/base", Args: quickly}},
		{name: "run as a user", method: container.Podman{Image: "base:latest", User: "3000:3000", Args: quickly}, uid: 3000},
		{name: "none", method: container.Podman{Container: "none"}, reason: connect.ErrNoContainer, text: "check the name"},
		{name: "stopped", method: container.Podman{Container: "stopped"}, reason: connect.ErrNoContainer, text: "start it"},
		{name: "no image", method: container.Podman{Image: "localhost/none", Args: []string{"--pull=never"}}, reason: connect.ErrNoContainer, text: "pull it first"},
		{name: "no shell", method: container.Podman{Image: "empty"}, reason: connect.ErrStart, text: "needs /bin/sh"},
		{name: "no such user", method: container.Podman{Container: "web", User: "mallory"}, reason: connect.ErrBadName, text: "mallory"},
		{name: "no podman", method: container.Podman{Container: "web", Path: "/opt/none"}, reason: connect.ErrNoContainer, text: "/opt/none"},
	})
	bereave(t, host, from, "podman", true, container.Podman{Container: "web", Args: quickly}, container.Podman{Image: "base", Args: quickly})
	// podman leaves a process that removes the container, and the end of the context may have
	// killed that one. But the container must have ended.
	if out, err := host.Shell(`for c in $(podman ps -aq --filter status=exited --filter name=mitosis-); do podman rm $c; done`); err != nil {
		t.Errorf("the container could not be removed, want that it has ended: %q, %v", out, err)
	}
	onlyContainers(t, host, "podman")
}

// onlyContainers checks that only the containers of the setup exist, running or not.
func onlyContainers(t *testing.T, host *lab.Running, engine ...string) {
	t.Helper()
	eventually(t, 10*time.Second, "only the containers of the setup are there", func() bool {
		out, err := host.Exec(t.Context(), append(engine, "ps", "-a", "--format={{.Names}}")...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(out, "\n") == 2
	})
}

// startDocker starts a daemon of the host's own.
const startDocker = `dockerd --data-root /srv/docker --exec-root /run/dockerx -H unix:///run/d.sock --pidfile /run/d.pid \
	--iptables=false --bridge=none --storage-driver=vfs >/tmp/dockerd.log 2>&1 &
set -e; export DOCKER_HOST=unix:///run/d.sock
for try in $(seq 200); do docker version >/dev/null 2>&1 && break; sleep 0.1; done
tar -C /srv/tree -c . | docker import --change 'ENTRYPOINT ["/bin/false"]' - base
docker run -d --network none --name web --entrypoint init base
docker create --network none --name stopped base
`

func TestDocker(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	host := start(t, lab.Host{Cgroups: true, Users: []lab.User{{Name: "deploy"}}, Setup: []string{withTree(t), startDocker}})
	const at = "unix:///run/d.sock"
	quickly := []string{"--env", "GORACE=" + quickEnd}
	alone := []string{"--network=none", "--env", "GORACE=" + quickEnd}
	from := walk(t, host, true, []way{
		{name: "exec", method: container.Docker{Host: at, Container: "web", Args: quickly}},
		{name: "exec as a user", method: container.Docker{Host: at, Container: "web", User: "app", Args: quickly}, uid: 3000},
		{name: "run", method: container.Docker{Host: at, Image: "base", Args: alone}},
		{name: "run as a user", method: container.Docker{Host: at, Image: "base:latest", User: "3000:3000", Args: alone}, uid: 3000},
		{name: "none", method: container.Docker{Host: at, Container: "none"}, reason: connect.ErrNoContainer, text: "check the name"},
		{name: "stopped", method: container.Docker{Host: at, Container: "stopped"}, reason: connect.ErrNoContainer, text: "start it"},
		{name: "no image", method: container.Docker{Host: at, Image: "none", Args: alone}, reason: connect.ErrNoContainer, text: "pull it first"},
		{name: "no such user", method: container.Docker{Host: at, Container: "web", User: "mallory"}, reason: connect.ErrBadName, text: "mallory"},
		{name: "no daemon", method: container.Docker{Host: "unix:///run/none.sock", Container: "web"}, reason: connect.ErrNoContainer, text: "start the runtime's daemon"},
		{name: "no docker", method: container.Docker{Container: "web", Path: "/opt/none"}, reason: connect.ErrNoContainer, text: "/opt/none"},
	})
	refused(t, enter(t, master(t, nil), host, "deploy"), container.Docker{Host: at, Container: "web"}, connect.ErrPermission, patience)
	bereave(t, host, from, "docker", true, container.Docker{Host: at, Container: "web", Args: quickly}, container.Docker{Host: at, Image: "base", Args: alone})
	onlyContainers(t, host, "docker", "-H", at)
}
