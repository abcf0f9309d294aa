//go:build linux

package all_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/connect/console"
	"github.com/mitosis-go/mitosis/connect/container"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/connect/openssh"
	"github.com/mitosis-go/mitosis/connect/ssh"
)

// tellsItself is a method of somebody's own.
type tellsItself struct{ argv []string }

func (tellsItself) Label() string          { return "own" }
func (tellsItself) Traits() connect.Traits { return connect.Traits{} }
func (tellsItself) Open(context.Context, *connect.OpenRequest) (bootstrap.Carrier, error) {
	return nil, errors.New("not to be opened")
}
func (m tellsItself) DryRun() ([]string, error) { return m.argv, nil }

// dryRuns are command lines as they will be run, words with spaces in brackets.
var dryRuns = []struct {
	m    connect.Method
	want string
}{
	{local.Child{}, "/proc/self/exe"},
	{local.Exec{Argv: []string{"vagrant", "ssh", "-c", "{line}"}}, "vagrant ssh -c [exec /bin/sh -c '...']"},
	{local.Exec{Argv: []string{"runuser", "-u", "app", "--"}}, "runuser -u app -- /bin/sh -c ..."},
	{local.Exec{Argv: []string{"login"}, Terminal: connect.TerminalStdio}, "login /bin/sh -c [exec <&3 >&4 3<&- 4>&-;...]"},
	{become.Sudo{Password: "hidden"}, "sudo -u root -- /bin/sh -c [unset SUDO_PROMPT;...]"},
	{openssh.Login{Host: "web1", Keepalive: -1, Password: "hidden"}, "ssh -o LogLevel=INFO -o NumberOfPasswordPrompts=1 -T -- web1 [exec /bin/sh -c '...']"},
	{openssh.Login{Host: "web1", Keepalive: -1, Args: []string{"-tt"}}, "ssh -tt -o LogLevel=INFO -o NumberOfPasswordPrompts=1 -T -- web1 [exec /bin/sh -c '...']"},
	{become.Su{Password: "hidden"}, "su root -c [exec /bin/sh -c 'exec <&3 >&4 3<&- 4>&-;...']"},
	{become.Su{User: "app", Login: true, PreserveEnv: true, Shell: "/bin/sh", Path: "/opt/su"},
		"/opt/su -l -m -s /bin/sh app -c [exec /bin/sh -c 'exec <&3 >&4 3<&- 4>&-;...']"},
	{become.Doas{}, "doas -u root -- /bin/sh -c [exec /bin/sh -c \"$0\" >&0] ..."},
	{become.Doas{User: "app", Password: "hidden"}, "doas -u app -- /bin/sh -c [exec /bin/sh -c \"$0\" >&0] ..."},
	{container.Chroot{Dir: "/mnt/sysroot"}, "chroot /mnt/sysroot /bin/sh -c ..."},
	{container.Chroot{Dir: "/mnt", User: "app:app", Path: "/opt/chroot"}, "/opt/chroot --userspec=app:app /mnt /bin/sh -c ..."},
	{container.Unshare{}, "unshare -m -u -i -n -p -f --mount-proc -- /bin/sh -c ..."},
	{container.Unshare{Namespaces: container.Namespaces{Mount: true, User: true}}, "unshare -m -r -- /bin/sh -c ..."},
	{container.Nsenter{PID: 42}, "nsenter -t 42 -m -u -i -n -p -- /bin/sh -c ..."},
	{container.Nsenter{Container: "web", Runtime: container.RuntimeLXC, Namespaces: container.Namespaces{Net: true, User: true, Cgroup: true}}, "nsenter -t ... -n -C -U -- /bin/sh -c ..."},
	{container.Podman{Container: "web"}, "podman exec -i web /bin/sh -c ..."},
	{container.Podman{Image: "localhost/base:1", User: "app", Args: []string{"--network=none"}},
		"podman run --rm -i --log-driver=none --entrypoint=/bin/sh --name=... --user=app --network=none localhost/base:1 -c ..."},
	{container.Docker{Container: "web", User: "0:0", Host: "unix:///run/d.sock", Args: []string{"-e", "A=b"}},
		"docker --host=unix:///run/d.sock exec -i --user=0:0 -e A=b web /bin/sh -c ..."},
	{container.Docker{Image: "registry:5000/a/b@sha256:00"},
		"docker run --rm -i --log-driver=none --entrypoint=/bin/sh --name=... registry:5000/a/b@sha256:00 -c ..."},
	{container.LXC{Container: "web"}, "lxc-attach --clear-env --name=web -- /bin/sh -c ..."},
	{container.LXC{Container: "web", Dir: "/srv/lxc", Args: []string{"--elevated-privileges"}},
		"lxc-attach --clear-env --name=web --lxcpath=/srv/lxc --elevated-privileges -- /bin/sh -c ..."},
	{container.LXD{Instance: "far:web"}, "lxc exec --mode=non-interactive far:web -- /bin/sh -c ..."},
	{container.Incus{Instance: "web", Project: "p", UID: "1000"}, "incus exec --mode=non-interactive --project=p --user=1000 web -- /bin/sh -c ..."},
	{container.Buildah{Container: "base-working-container", User: "app"}, "buildah run --user=app -- base-working-container /bin/sh -c ..."},
	{container.Kubectl{Pod: "web-0"}, "kubectl exec -i web-0 -- /bin/sh -c ..."},
	{container.Kubectl{Pod: "deployment/web", Container: "app", Namespace: "prod", Context: "arn:aws:eks:x:1:cluster/y", Kubeconfig: "/etc/k"},
		"kubectl --kubeconfig=/etc/k --context=arn:aws:eks:x:1:cluster/y --namespace=prod exec -i --container=app deployment/web -- /bin/sh -c ..."},
	{container.Jail{Jail: "www"}, "jexec www /bin/sh -c ..."},
	{container.Jail{Jail: "7", User: "app"}, "jexec -U app 7 /bin/sh -c ..."},
	{container.Machinectl{Machine: "web"}, "systemd-run --machine=web --pipe --wait --collect --quiet -- /bin/sh -c [eval \"`printf %b '...'`\"]"},
	{tellsItself{[]string{"own", "tool"}}, "own tool"},
}

func showArgv(argv []string) string {
	var words []string
	for _, word := range argv {
		if strings.Contains(word, " ") {
			word = "[" + word + "]"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestDryRun(t *testing.T) {
	for _, c := range dryRuns {
		argv, err := connect.DryRun(c.m)
		if err != nil {
			t.Errorf("%#v: %v, want no error", c.m, err)
			continue
		}
		if got := showArgv(argv); got != c.want {
			t.Errorf("%s: %s\nnot %s", c.m.Label(), got, c.want)
		}
		if strings.Contains(strings.Join(argv, " ")+c.m.Label(), "hidden") {
			t.Errorf("%s: the secret shows", c.m.Label())
		}
	}
	for _, m := range []connect.Method{ssh.Login{Host: "web1"}, console.Login{Device: "/dev/ttyS0"}} {
		if argv, err := connect.DryRun(m); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v, %v for a method without a program", m.Label(), argv, err)
		}
	}
}

// badNames are methods that name something which a tool would take for an option,
// or for something else than a name.
var badNames = []connect.Method{
	become.Sudo{User: "-s"}, become.Su{User: "-c"}, become.Su{Shell: "sh"}, become.Su{Shell: "-x"}, become.Doas{User: "-s"}, become.Doas{User: "a b"},
	container.Chroot{}, container.Chroot{Dir: "-x"}, container.Chroot{Dir: "relative"}, container.Chroot{Dir: "/x", User: "-u"},
	container.Nsenter{}, container.Nsenter{PID: -1}, container.Nsenter{PID: 1, Container: "web"}, container.Nsenter{Container: "-a"}, container.Nsenter{Container: "web", Runtime: 99},
	container.Docker{}, container.Docker{Container: "a", Image: "b"}, container.Docker{Container: "-it"}, container.Docker{Container: "a b"}, container.Docker{Image: "--privileged"},
	container.Docker{Container: "a", User: "-u"}, container.Docker{Container: "a", Args: []string{"\x00"}}, container.Docker{Container: "a", Host: "\x00"},
	container.Podman{}, container.Podman{Container: "--latest"}, container.Podman{Image: "-v=/:/x"}, container.Podman{Container: "a/b"},
	container.Buildah{}, container.Buildah{Container: "-v"}, container.Buildah{Container: "a", User: "-r"},
	container.Kubectl{}, container.Kubectl{Pod: "-it"}, container.Kubectl{Pod: "a;b"}, container.Kubectl{Pod: "a", Container: "-c"}, container.Kubectl{Pod: "a", Namespace: "-n"},
	container.LXC{}, container.LXC{Container: "-n"}, container.LXC{Container: "a", Dir: "x"},
	container.LXD{}, container.LXD{Instance: "-q"}, container.LXD{Instance: "a", UID: "-1"}, container.Incus{}, container.Incus{Instance: "--help"}, container.Incus{Instance: "a", Project: "-p"},
	container.Jail{}, container.Jail{Jail: "-l"}, container.Jail{Jail: "a", User: "-u"}, container.Machinectl{}, container.Machinectl{Machine: "-M"}, container.Machinectl{Machine: "a", User: "-u"},
	console.Login{}, console.Login{Device: "ttyS0"}, console.Login{Device: "/dev/x", Address: "a:1"}, console.Login{Address: "a"}, console.Login{Address: "-a:1"},
	console.Login{Device: "/dev/x", User: "-f"}, console.Login{Device: "/dev/x", Baud: -1}, console.Login{Device: "/dev/x", Silence: -1},
}

func TestNamesAreRefusedByEachMethod(t *testing.T) {
	for _, m := range badNames {
		if argv, err := connect.DryRun(m); !errors.Is(err, connect.ErrBadName) {
			t.Errorf("%#v would run %q, error %v; want %q", m, argv, err, connect.ErrBadName)
		}
		c, err := m.Open(t.Context(), connecttest.Far(`exit`).OpenRequest)
		if !errors.Is(err, connect.ErrBadName) {
			t.Errorf("%#v was opened: %v", m, err)
		}
		if err == nil {
			c.Close()
		}
	}
}
