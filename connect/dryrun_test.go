//go:build linux

package connect

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// tellsItself is a method of somebody's own.
type tellsItself struct{ argv []string }

func (tellsItself) Label() string  { return "own" }
func (tellsItself) Traits() Traits { return Traits{} }
func (tellsItself) Open(context.Context, *Env) (bootstrap.Carrier, error) {
	return nil, errors.New("not to be opened")
}
func (m tellsItself) DryRun() ([]string, error) { return m.argv, nil }

// dryRuns are command lines as they will be run, words with spaces in brackets.
var dryRuns = []struct {
	m    Method
	want string
}{
	{Local{}, "/proc/self/exe"},
	{Command{Argv: []string{"vagrant", "ssh", "-c", "{line}"}}, "vagrant ssh -c [exec /bin/sh -c '...']"},
	{Command{Argv: []string{"runuser", "-u", "app", "--"}}, "runuser -u app -- /bin/sh -c ..."},
	{Command{Argv: []string{"login"}, Terminal: TerminalStdio}, "login /bin/sh -c [exec <&3 >&4 3<&- 4>&-;...]"},
	{Sudo{Password: "hidden"}, "sudo -u root -- /bin/sh -c [unset SUDO_PROMPT;...]"},
	{OpenSSH{Host: "web1", Keepalive: -1, Password: "hidden"}, "ssh -o LogLevel=INFO -o NumberOfPasswordPrompts=1 -T -- web1 [exec /bin/sh -c '...']"},
	{OpenSSH{Host: "web1", Keepalive: -1, Args: []string{"-tt"}}, "ssh -tt -o LogLevel=INFO -o NumberOfPasswordPrompts=1 -T -- web1 [exec /bin/sh -c '...']"},
	{Su{Password: "hidden"}, "su root -c [exec /bin/sh -c 'exec <&3 >&4 3<&- 4>&-;...']"},
	{Su{User: "app", Login: true, PreserveEnv: true, Shell: "/bin/sh", Path: "/opt/su"},
		"/opt/su -l -m -s /bin/sh app -c [exec /bin/sh -c 'exec <&3 >&4 3<&- 4>&-;...']"},
	{Doas{}, "doas -u root -- /bin/sh -c ..."},
	{Doas{User: "app", Password: "hidden"}, "doas -u app -- /bin/sh -c ..."},
	{Chroot{Dir: "/mnt/sysroot"}, "chroot /mnt/sysroot /bin/sh -c ..."},
	{Chroot{Dir: "/mnt", User: "app:app", Path: "/opt/chroot"}, "/opt/chroot --userspec=app:app /mnt /bin/sh -c ..."},
	{Unshare{}, "unshare -m -u -i -n -p -f --mount-proc -- /bin/sh -c ..."},
	{Unshare{Namespaces: Namespaces{Mount: true, User: true}}, "unshare -m -r -- /bin/sh -c ..."},
	{Nsenter{PID: 42}, "nsenter -t 42 -m -u -i -n -p -- /bin/sh -c ..."},
	{Nsenter{Container: "web", Runtime: RuntimeLXC, Namespaces: Namespaces{Net: true, User: true, Cgroup: true}}, "nsenter -t ... -n -C -U -- /bin/sh -c ..."},
	{Podman{Container: "web"}, "podman exec -i web /bin/sh -c ..."},
	{Podman{Image: "localhost/base:1", User: "app", Args: []string{"--network=none"}},
		"podman run --rm -i --log-driver=none --entrypoint=/bin/sh --name=... --user=app --network=none localhost/base:1 -c ..."},
	{Docker{Container: "web", User: "0:0", Host: "unix:///run/d.sock", Args: []string{"-e", "A=b"}},
		"docker --host=unix:///run/d.sock exec -i --user=0:0 -e A=b web /bin/sh -c ..."},
	{Docker{Image: "registry:5000/a/b@sha256:00"},
		"docker run --rm -i --log-driver=none --entrypoint=/bin/sh --name=... registry:5000/a/b@sha256:00 -c ..."},
	{LXC{Container: "web"}, "lxc-attach --clear-env --name=web -- /bin/sh -c ..."},
	{LXC{Container: "web", Dir: "/srv/lxc", Args: []string{"--elevated-privileges"}},
		"lxc-attach --clear-env --name=web --lxcpath=/srv/lxc --elevated-privileges -- /bin/sh -c ..."},
	{LXD{Instance: "far:web"}, "lxc exec --mode=non-interactive far:web -- /bin/sh -c ..."},
	{Incus{Instance: "web", Project: "p", UID: "1000"}, "incus exec --mode=non-interactive --project=p --user=1000 web -- /bin/sh -c ..."},
	{Buildah{Container: "base-working-container", User: "app"}, "buildah run --user=app -- base-working-container /bin/sh -c ..."},
	{Kubectl{Pod: "web-0"}, "kubectl exec -i web-0 -- /bin/sh -c ..."},
	{Kubectl{Pod: "deployment/web", Container: "app", Namespace: "prod", Context: "arn:aws:eks:x:1:cluster/y", Kubeconfig: "/etc/k"},
		"kubectl --kubeconfig=/etc/k --context=arn:aws:eks:x:1:cluster/y --namespace=prod exec -i --container=app deployment/web -- /bin/sh -c ..."},
	{Jail{Jail: "www"}, "jexec www /bin/sh -c ..."},
	{Jail{Jail: "7", User: "app"}, "jexec -U app 7 /bin/sh -c ..."},
	{Machinectl{Machine: "web"}, "systemd-run --machine=web --pipe --wait --collect --quiet -- /bin/sh -c [eval \"`printf %b '...'`\"]"},
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
		argv, err := DryRun(c.m)
		if err != nil {
			t.Errorf("%#v: %v", c.m, err)
			continue
		}
		if got := showArgv(argv); got != c.want {
			t.Errorf("%s: %s\nnot %s", c.m.Label(), got, c.want)
		}
		if strings.Contains(strings.Join(argv, " ")+c.m.Label(), "hidden") {
			t.Errorf("%s: the secret shows", c.m.Label())
		}
	}
	for _, m := range []Method{SSH{Host: "web1"}, Console{Device: "/dev/ttyS0"}} {
		if argv, err := DryRun(m); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v, %v for a method without a program", m.Label(), argv, err)
		}
	}
}

// badNames are methods that name something which a tool would take for an option,
// or for something else than a name.
var badNames = []Method{
	Sudo{User: "-s"}, Su{User: "-c"}, Su{Shell: "sh"}, Su{Shell: "-x"}, Doas{User: "-s"}, Doas{User: "a b"},
	Chroot{}, Chroot{Dir: "-x"}, Chroot{Dir: "relative"}, Chroot{Dir: "/x", User: "-u"},
	Nsenter{}, Nsenter{PID: -1}, Nsenter{PID: 1, Container: "web"}, Nsenter{Container: "-a"}, Nsenter{Container: "web", Runtime: 99},
	Docker{}, Docker{Container: "a", Image: "b"}, Docker{Container: "-it"}, Docker{Container: "a b"}, Docker{Image: "--privileged"},
	Docker{Container: "a", User: "-u"}, Docker{Container: "a", Args: []string{"\x00"}}, Docker{Container: "a", Host: "\x00"},
	Podman{}, Podman{Container: "--latest"}, Podman{Image: "-v=/:/x"}, Podman{Container: "a/b"},
	Buildah{}, Buildah{Container: "-v"}, Buildah{Container: "a", User: "-r"},
	Kubectl{}, Kubectl{Pod: "-it"}, Kubectl{Pod: "a;b"}, Kubectl{Pod: "a", Container: "-c"}, Kubectl{Pod: "a", Namespace: "-n"},
	LXC{}, LXC{Container: "-n"}, LXC{Container: "a", Dir: "x"},
	LXD{}, LXD{Instance: "-q"}, LXD{Instance: "a", UID: "-1"}, Incus{}, Incus{Instance: "--help"}, Incus{Instance: "a", Project: "-p"},
	Jail{}, Jail{Jail: "-l"}, Jail{Jail: "a", User: "-u"}, Machinectl{}, Machinectl{Machine: "-M"}, Machinectl{Machine: "a", User: "-u"},
	Console{}, Console{Device: "ttyS0"}, Console{Device: "/dev/x", Address: "a:1"}, Console{Address: "a"}, Console{Address: "-a:1"},
	Console{Device: "/dev/x", User: "-f"}, Console{Device: "/dev/x", Baud: -1}, Console{Device: "/dev/x", Silence: -1},
}

func TestNamesAreRefusedByEachMethod(t *testing.T) {
	for _, m := range badNames {
		if argv, err := DryRun(m); !errors.Is(err, ErrBadName) {
			t.Errorf("%#v: %q, %v", m, argv, err)
		}
		c, err := m.Open(t.Context(), far(`exit`).Env)
		if !errors.Is(err, ErrBadName) {
			t.Errorf("%#v was opened: %v", m, err)
		}
		if err == nil {
			c.Close()
		}
	}
}
