//go:build linux

package container

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
)

// stubTool stands for a tool that can't run here: it writes down its arguments, and
// runs what comes behind the word where, or from the word /bin/sh on. With words to
// say it says them and fails.
func stubTool(t *testing.T, words string, status string) (path, log string) {
	t.Helper()
	dir := t.TempDir()
	path, log = filepath.Join(dir, "tool"), filepath.Join(dir, "argv")
	connecttest.WriteFile(t, path, `#!/bin/sh
printf '%s\n' "$@" >`+log+`
words='`+words+`'
[ -z "$words" ] || { echo "$words" >&2; exit `+status+`; }
while [ "$1" != /bin/sh ]; do shift || exit 99; done
exec "$@"
`, 0o755)
	return path, log
}

// stubbed are the methods whose tools don't run here, with the path of a stub.
func stubbed(path string) []connect.Method {
	return []connect.Method{
		Buildah{Container: "base-working-container", User: "app", Path: path},
		Kubectl{Pod: "web-0", Container: "app", Namespace: "prod", Context: "c", Path: path},
		LXD{Instance: "far:web", Path: path},
		Incus{Instance: "web", Project: "p", UID: "1000", Path: path},
		Jail{Jail: "www", User: "app", Path: path},
		Machinectl{Machine: "web", User: "app", Path: path},
	}
}

func TestStubbedToolsRunTheFarSide(t *testing.T) {
	for i := range stubbed("") {
		path, log := stubTool(t, "", "0")
		m := stubbed(path)[i]
		t.Run(m.Label(), func(t *testing.T) {
			connecttest.CheckLeaks(t)
			// What has dollar signs and quotes must get there as it is.
			p := connecttest.Far(`x="it works"; echo "${x%s}s"; exec cat`)
			c := connecttest.Open(t, m, p)
			head := make([]byte, len("it works\n"))
			if _, err := io.ReadFull(c, head); err != nil || string(head) != "it works\n" {
				t.Fatalf("the far side prints %q (error: %v, cause: %v), want it works", head, err, connecttest.Cause(t, c))
			}
			close(p.Ready)
			argv, err := connect.DryRun(m)
			if err != nil {
				t.Fatal(err)
			}
			said, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Split(string(said), "\n")
			if want := argv[1 : len(argv)-1]; len(got) < len(want) || strings.Join(got[:len(want)], " ") != strings.Join(want, " ") {
				t.Errorf("it was run with %q, not %q", got, want)
			}
			connecttest.CloseInTime(t, c)
			if group := connecttest.ProcessID(c); connecttest.GroupLives(group) {
				t.Error("the tool is left")
			}
		})
	}
}

// The tools' own words, as their sources and users' reports have them.
func TestFailuresOfContainerTools(t *testing.T) {
	for _, c := range []struct {
		m    func(path string) connect.Method
		said string
		want error
		hint string
	}{
		{func(p string) connect.Method { return Kubectl{Pod: "web", Path: p} }, `Error from server (NotFound): pods "web" not found`, connect.ErrNoContainer, "check the name"},
		{func(p string) connect.Method { return Kubectl{Pod: "web", Path: p} }, `Error from server (Forbidden): pods "web" is forbidden: User "u" cannot create resource "pods/exec"`, connect.ErrPermission, "rules"},
		{func(p string) connect.Method { return Kubectl{Pod: "web", Path: p} }, `The connection to the server localhost:8080 was refused - did you specify the right host or port?`, connect.ErrRefused, "kubeconfig"},
		{func(p string) connect.Method { return Kubectl{Pod: "web", Path: p} }, `Unable to connect to the server: dial tcp: lookup k8s.example: no such host`, connect.ErrNoHost, "kubeconfig"},
		{func(p string) connect.Method { return Kubectl{Pod: "web", Path: p} }, `Unable to connect to the server: dial tcp 10.0.0.9:6443: connect: no route to host`, connect.ErrUnreachable, "kubeconfig"},
		{func(p string) connect.Method { return Kubectl{Pod: "web", Path: p} }, `Unable to connect to the server: dial tcp 10.0.0.9:6443: i/o timeout`, connect.ErrTimeout, "kubeconfig"},
		{func(p string) connect.Method { return Kubectl{Pod: "web", Path: p} }, `Unable to connect to the server: x509: certificate signed by unknown authority`, connect.ErrStart, "kubeconfig"},
		{func(p string) connect.Method { return Kubectl{Pod: "web", Path: p} }, `error: You must be logged in to the server (Unauthorized)`, connect.ErrPermission, "log in"},
		{func(p string) connect.Method { return Kubectl{Pod: "web", Path: p} }, `error: context "c" does not exist`, connect.ErrNoContainer, ""},
		{func(p string) connect.Method { return Kubectl{Pod: "web", Container: "x", Path: p} }, `error: unable to upgrade connection: container not found ("x")`, connect.ErrNoContainer, ""},
		{func(p string) connect.Method { return Kubectl{Pod: "web", Path: p} }, `cannot exec into a container in a completed pod; current phase is Succeeded`, connect.ErrNoContainer, ""},
		{func(p string) connect.Method { return Kubectl{Pod: "web", Path: p} }, `OCI runtime exec failed: exec failed: exec: "/bin/sh": stat /bin/sh: no such file or directory: unknown`, connect.ErrStart, "/bin/sh"},
		{func(p string) connect.Method { return Buildah{Container: "x", Path: p} }, `Error: error reading build container "x": container not known`, connect.ErrNoContainer, ""},
		{func(p string) connect.Method { return LXD{Instance: "web", Path: p} }, `Error: Instance not found`, connect.ErrNoContainer, "check the name"},
		{func(p string) connect.Method { return LXD{Instance: "web", Path: p} }, `Error: Instance is not running`, connect.ErrNoContainer, "start it"},
		{func(p string) connect.Method { return Incus{Instance: "web", Path: p} }, `Error: You don't have the needed permissions to talk to the incus daemon (socket path: /var/lib/incus/unix.socket)`, connect.ErrPermission, ""},
		{func(p string) connect.Method { return Jail{Jail: "www", Path: p} }, `jexec: jail "www" not found`, connect.ErrNoContainer, ""},
		{func(p string) connect.Method { return Jail{Jail: "www", Path: p} }, `jexec: jail_attach(1): Operation not permitted`, connect.ErrPermission, "root"},
		{func(p string) connect.Method { return Machinectl{Machine: "web", Path: p} }, `Failed to start transient service unit: Host is down`, connect.ErrNoContainer, ""},
		{func(p string) connect.Method { return Machinectl{Machine: "web", Path: p} }, `Failed to connect to bus: No such file or directory`, connect.ErrNoContainer, ""},
		{func(p string) connect.Method { return Docker{Container: "web", Path: p} }, `permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock`, connect.ErrPermission, "group"},
		{func(p string) connect.Method { return Docker{Image: "web", Path: p} }, `docker: Error response from daemon: pull access denied for web, repository does not exist or may require docker login`, connect.ErrNoContainer, "pull it first"},
		{func(p string) connect.Method { return Podman{Image: "web", Path: p} }, `Error: short-name "web" did not resolve to an alias and no unqualified-search registries are defined`, connect.ErrNoContainer, "pull it first"},
	} {
		path, _ := stubTool(t, strings.ReplaceAll(c.said, "'", `'\''`), "1")
		ch := connecttest.Open(t, c.m(path), connecttest.Far(`exit`))
		connecttest.ReadAll(t, ch)
		err := connecttest.Cause(t, ch)
		e, ok := errors.AsType[*connect.Error](err)
		if !ok || !errors.Is(err, c.want) || !strings.Contains(e.Hint, c.hint) || !strings.Contains(err.Error(), c.said) {
			t.Errorf("%s\nbecame %v", c.said, err)
		}
		connecttest.CloseInTime(t, ch)
	}
}

// A container that its tool may have left behind is removed by name.
func TestContainerIsRemovedAfterItsTool(t *testing.T) {
	dir := t.TempDir()
	tool := filepath.Join(dir, "podman")
	connecttest.WriteFile(t, tool, `#!/bin/sh
echo "$@" >>`+dir+`/log
case $1 in run) for a; do case $a in --name=*) name=${a#--name=};; esac; done; echo $name >`+dir+`/name; trap "" TERM HUP; echo go; sleep 1000;;
rm) [ "$4" = "$(cat `+dir+`/name)" ] && touch `+dir+`/removed;; esac
`, 0o755)
	p := connecttest.Far(`exit`)
	c := connecttest.Open(t, Podman{Image: "base", Path: tool}, p)
	if _, err := io.ReadFull(c, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "removed")); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		t.Errorf("%v; it was run with %s", err, log)
	}
}
