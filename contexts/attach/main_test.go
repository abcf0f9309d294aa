//go:build linux

package attach_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
	"github.com/mitosis-go/mitosis/core"
)

// Tests of processes that meet need more than one. The other is this executable
// with one of these roles.
var roles = map[string]func(ctx context.Context, arg string) error{
	"join":   actAsGuest,
	"lean":   actAsLeaner,
	"listen": actAsListener,
	"master": actAsMaster,
	"heir":   actAsHeir,
}

const roleVariable = "MITOSIS_ATTACH_TEST_ROLE"

func TestMain(m *testing.M) {
	contexts.Init()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if act := roles[os.Getenv(roleVariable)]; act != nil {
		os.Unsetenv(roleVariable)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := act(ctx, os.Args[1]); err != nil {
			tell(told{Err: core.EncodeError(err)})
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// told is what a role tells the test, in a line.
type told struct {
	Values map[string]string `json:",omitempty"`
	Errs   map[string][]byte `json:",omitempty"` // encoded
	Gone   map[string]bool   `json:",omitempty"` // those that match contexts.ErrGone, which only routers may say
	Err    []byte            `json:",omitempty"` // why it gave up
}

func (t told) err(name string) error {
	if t.Errs[name] == nil {
		return nil
	}
	return core.DecodeError(t.Errs[name])
}

func (t *told) failed(name string, err error) {
	if t.Errs == nil {
		t.Errs, t.Gone = make(map[string][]byte), make(map[string]bool)
	}
	t.Gone[name] = errors.Is(err, contexts.ErrGone)
	if err != nil {
		t.Errs[name] = core.EncodeError(err)
	}
}

func tell(t told) {
	b, err := json.Marshal(t)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", b)
}

// untilDismissed waits until the test closes our input.
func untilDismissed() { _, _ = io.Copy(io.Discard, os.Stdin) }

// actor is a process with a role.
type actor struct {
	*treetest.Actor
	t *testing.T
}

// act starts one; change may be nil.
func act(t *testing.T, role, arg string, change func(*exec.Cmd)) *actor {
	t.Helper()
	return &actor{treetest.Act(t, roleVariable, role, change, arg), t}
}

// hear returns the next that it tells.
func (a *actor) hear() told {
	a.t.Helper()
	line := a.Hear()
	var v told
	if err := json.Unmarshal([]byte(line), &v); err != nil {
		a.t.Fatalf("%s is no JSON: %v", line, err)
	}
	return v
}

// must is hear for a role that does not give up.
func (a *actor) must() told {
	a.t.Helper()
	v := a.hear()
	if v.Err != nil {
		a.t.Fatal(core.DecodeError(v.Err))
	}
	return v
}

// end ends it: with signal 0 by the end of its input.
func (a *actor) end(s syscall.Signal) { _ = a.End(s) }

// What contexts of the tests do.
var (
	pid  = contexts.NewFunc("test.pid", func(context.Context, struct{}) (int, error) { return os.Getpid(), nil })
	open = contexts.NewFunc("test.open", func(_ context.Context, s string) (string, error) { return s, nil }, contexts.AllowDescendants)

	// divide makes a context below the one that it runs in.
	divide = contexts.NewFunc("test.divide", func(ctx context.Context, _ struct{}) (*contexts.Node, error) {
		return contexts.Self(ctx).Connect(ctx, local.Child{})
	})

	counter atomic.Int64
	count   = contexts.NewFunc("test.count", func(context.Context, struct{}) (int64, error) { return counter.Add(1), nil })

	// A node that a context remembers.
	remembered atomic.Pointer[contexts.Node]
	remember   = contexts.NewFunc("test.remember", func(_ context.Context, n *contexts.Node) (struct{}, error) {
		remembered.Store(n)
		return struct{}{}, nil
	})
	recall = contexts.NewFunc("test.recall", func(context.Context, struct{}) (*contexts.Node, error) {
		return remembered.Load(), nil
	})
	// pidOfRemembered goes on to the node that is remembered.
	pidOfRemembered = contexts.NewFunc("test.pid.remembered", func(ctx context.Context, _ struct{}) (int, error) {
		return pid.Call(ctx, remembered.Load(), struct{}{})
	})
	// ticks counts on in a context that has settled.
	ticks  atomic.Int64
	ticked = contexts.NewFunc("test.ticked", func(context.Context, struct{}) (int64, error) { return ticks.Load(), nil })
	block  = contexts.NewFunc("test.block", func(ctx context.Context, _ struct{}) (struct{}, error) {
		<-ctx.Done()
		return struct{}{}, ctx.Err()
	})
)

// alive tells whether a process is there, and no zombie.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] == ')' {
			return i+2 < len(b) && b[i+2] != 'Z' && b[i+2] != 'X'
		}
	}
	return false
}

func containsAny(text string, parts ...string) bool {
	for _, p := range parts {
		if strings.Contains(text, p) {
			return true
		}
	}
	return false
}
