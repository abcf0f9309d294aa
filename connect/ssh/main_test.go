//go:build unix

package ssh

import (
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/internal/sshconfig"
	"github.com/mitosis-go/mitosis/connect/internal/sshtest"
)

// methodFor is an SSH method for the server that knows its key and nothing else of
// this machine.
func methodFor(t testing.TB, s *sshtest.Server) Login {
	t.Helper()
	known := s.KnownHosts(t)
	return Login{Host: "127.0.0.1", Port: s.Port(), User: "me", NoConfig: true, NoAgent: true, KnownHostsFiles: []string{known}}
}

func testPlaces(t testing.TB) sshconfig.Places {
	return sshconfig.Places{User: "local", Home: t.TempDir(), SystemConfig: filepath.Join(t.TempDir(), "ssh_config"), Program: "ssh"}
}

func testEnv(line string) *connect.OpenRequest {
	return &connect.OpenRequest{CommandLine: line, Log: slog.New(slog.DiscardHandler)}
}

func dialSSH(t testing.TB, s Login, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	t.Helper()
	return s.openFrom(connecttest.TestContext(t), e, testPlaces(t))
}

// mustRun connects, runs a command that reads a line and answers it, and closes.
func mustRun(t testing.TB, s Login, e *connect.OpenRequest) {
	t.Helper()
	if e == nil {
		e = testEnv("")
	}
	e.CommandLine = `read -r x; echo "got $x"`
	c, err := dialSSH(t, s, e)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(c)
	if err != nil || string(out) != "got hello\n" {
		t.Fatalf("read %q, %v (cause %v)", out, err, c.Cause(connecttest.TestContext(t)))
	}
	if err := c.Cause(connecttest.TestContext(t)); err != nil {
		t.Fatal(err)
	}
}
