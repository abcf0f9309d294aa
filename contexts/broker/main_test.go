//go:build linux

package broker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
)

// Tests of processes that meet need more than one. The other is this executable with one of these
// roles. What it says is told to the test in lines.
var roles = map[string]func(ctx context.Context, args []string) error{
	"broker":  actAsBroker,
	"spawned": actAsSpawned,
	"starter": actAsStarter,
	"client":  actAsClient,
	"guest":   actAsGuest,
}

const roleVariable = "MITOSIS_BROKER_TEST_ROLE"

func TestMain(m *testing.M) {
	contexts.Init()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if act := roles[os.Getenv(roleVariable)]; act != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := act(ctx, os.Args[1:]); err != nil {
			fmt.Printf("error: %v\n", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// untilDismissed waits until the test closes our input.
func untilDismissed() { _, _ = io.Copy(io.Discard, os.Stdin) }

// actor is a process with a role.
type actor struct {
	*treetest.Actor
	t *testing.T
}

// act starts one.
func act(t *testing.T, role string, args ...string) *actor {
	t.Helper()
	return actWith(t, nil, role, args...)
}

// actWith starts one; change may be nil.
func actWith(t *testing.T, change func(*exec.Cmd), role string, args ...string) *actor {
	t.Helper()
	return &actor{treetest.Act(t, roleVariable, role, change, args...), t}
}

// actAs starts one as another user, from a copy that this user can read.
func actAs(t *testing.T, uid uint32, role string, args ...string) *actor {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "mb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	copied := filepath.Join(dir, "program")
	// A file that this process writes could be open in a process that another test starts.
	out, err := exec.Command("cp", executable(t), copied).CombinedOutput()
	if err = errors.Join(err, os.Chmod(dir, 0o755), os.Chmod(copied, 0o755)); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return actWith(t, func(cmd *exec.Cmd) {
		cmd.Path, cmd.Dir = copied, "/"
		cmd.Env = append(cmd.Env, "HOME="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}, role, args...)
}

func executable(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

// hear returns the next line that it says.
func (a *actor) hear() string {
	a.t.Helper()
	return a.Hear()
}

// want fails the test unless the next line has this text.
func (a *actor) want(text string) string {
	a.t.Helper()
	line := a.hear()
	if !strings.Contains(line, text) {
		a.t.Fatalf("the process said %q, want %q", line, text)
	}
	return line
}

// end ends it: with signal 0 by the end of its input.
func (a *actor) end(s syscall.Signal) error { return a.End(s) }

// alive reports whether a process is there, and no zombie.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	rest := string(b[strings.LastIndexByte(string(b), ')')+1:])
	return !strings.HasPrefix(rest, " Z") && !strings.HasPrefix(rest, " X")
}
