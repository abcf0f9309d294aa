//go:build linux

package ssh

import (
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh/agent"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/internal/sshtest"
)

func TestAgentIsForwarded(t *testing.T) {
	connecttest.CheckLeaks(t)
	const comment = "a key of the agent"
	keyring := agent.NewKeyring()
	_, private := sshtest.NewKey(t)
	if err := keyring.Add(agent.AddedKey{PrivateKey: private, Comment: comment}); err != nil {
		t.Fatal(err)
	}
	socket := startAgent(t, keyring)
	s, _ := startSSHD(t, "")
	run := func(s Login, line string) (string, string) {
		t.Helper()
		var log strings.Builder
		env := &connect.OpenRequest{CommandLine: line, Log: slog.New(slog.NewTextHandler(&log, nil))}
		c, err := dialSSH(t, s, env)
		if err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(c)
		c.Close()
		if err != nil {
			t.Fatal(err)
		}
		return string(out), log.String()
	}
	const list = "echo $SSH_AUTH_SOCK; ssh-add -l; ssh-add -l 2>&1"

	s.AgentSocket = socket
	if out, _ := run(s, list); strings.Contains(out, comment) {
		t.Errorf("the agent was forwarded unasked: %s", out)
	}
	forwarding := s
	forwarding.ForwardAgent = true
	out, _ := run(forwarding, list)
	if strings.Count(out, comment) != 2 {
		t.Errorf("the far side sees %q", out)
	}
	theirs, _, _ := strings.Cut(out, "\n")
	for left := 500; listening(theirs); left-- {
		if left == 0 {
			t.Fatalf("%s is there after the hop has gone", theirs)
		}
		time.Sleep(10 * time.Millisecond)
	}

	byConfig := s
	byConfig.AgentSocket, byConfig.NoAgent, byConfig.NoConfig = "", true, false
	byConfig.ConfigFile = connecttest.WriteFile(t, filepath.Join(t.TempDir(), "config"), "ForwardAgent "+socket+"\n", 0o600)
	if out, _ := run(byConfig, list); !strings.Contains(out, comment) {
		t.Errorf("by the configuration the far side sees %q", out)
	}

	closed, _ := startSSHD(t, "AllowAgentForwarding no")
	closed.AgentSocket, closed.ForwardAgent = socket, true
	out, log := run(closed, list)
	if strings.Contains(out, comment) || !strings.Contains(log, "refused to forward the agent") {
		t.Errorf("where it is forbidden the far side sees %q, the log says %s", out, log)
	}

	// Who asks for it once does not get it for the jump host as well.
	jumped := forwarding
	jumped.ProxyJump = []Login{s}
	if out, _ := run(jumped, list); strings.Count(out, comment) != 2 {
		t.Errorf("behind a jump host the far side sees %q", out)
	}
}

// listening reports whether somebody takes connections at a socket.
func listening(path string) bool {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
