//go:build unix

package fakessh_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh/agent"

	"github.com/mitosis-go/mitosis/fakessh"
)

func TestTheAgentIsForwarded(t *testing.T) {
	const comment = "a key of the agent"
	keyring := agent.NewKeyring()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := keyring.Add(agent.AddedKey{PrivateKey: private, Comment: comment}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			agent.ServeAgent(keyring, conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })

	runtimeDir(t)
	// Where the far side makes its directories.
	far := t.TempDir()
	t.Setenv("TMPDIR", far)
	n := child(t)
	hosts := fakessh.Hosts{Default: n}
	t.Setenv("SSH_AUTH_SOCK", socket)
	const show = ` web 'echo "$SSH_AUTH_SOCK"; stat -c %a "$(dirname "$SSH_AUTH_SOCK")"; ssh-add -l && ssh-add -l'`
	for _, options := range []string{"-A", "-oForwardAgent=yes", "-a -A", "-o ForwardAgent=" + socket, "-oForwardAgent=no -A"} {
		got := do(t, hosts, "ssh "+options+show)
		lines := strings.Split(got.out, "\n")
		if got.status != 0 || strings.Count(got.out, comment) != 2 || lines[1] != "700" {
			t.Errorf("%s: %+v, want the key of the agent twice, and a directory of mode 700", options, got)
		}
		if _, err := os.Stat(lines[0]); lines[0] == socket || err == nil {
			t.Errorf("%s: the socket %s is the agent's own, or is still there", options, lines[0])
		}
	}
	for _, options := range []string{"", "-a", "-A -a", "-oForwardAgent=no", "-oForwardAgent=no -oForwardAgent=yes"} {
		if got := do(t, hosts, "ssh "+options+` web 'echo "$SSH_AUTH_SOCK"'`); got.out != "\n" {
			t.Errorf("%q: %+v, want no SSH_AUTH_SOCK", options, got)
		}
	}
	if got := do(t, hosts, `SSH_AUTH_SOCK= ssh -A web 'echo ok'`); got.out != "ok\n" || got.status != 0 {
		t.Errorf("without an agent: %+v", got)
	}
	if got := do(t, hosts, `ssh -A -oForwardAgent=/nosuch/agent web 'ssh-add -l'`); got.status != 0 || !strings.Contains(got.out, comment) {
		t.Errorf("-A and a socket: %+v", got)
	}
	got := do(t, hosts, `ssh -oForwardAgent=/nosuch/agent web 'ssh-add -l 2>&1; echo ran'`)
	if !strings.HasSuffix(got.out, "ran\n") || got.status != 0 {
		t.Errorf("an agent that is not there: %+v", got)
	}
	if left, err := os.ReadDir(far); err != nil || len(left) > 0 {
		t.Errorf("the far side has left %v, %v", left, err)
	}
}
