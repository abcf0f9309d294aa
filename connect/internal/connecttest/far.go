//go:build linux

// Package connecttest has what tests of several methods need: a first stage, a person who
// answers, a tool that asks, and a look for what is left behind.
package connecttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
)

// Place is the OpenRequest of a test.
type Place struct {
	*connect.OpenRequest
	Ready chan struct{}
	mu    sync.Mutex
	log   bytes.Buffer
}

// Far makes an OpenRequest whose first stage is a script.
func Far(script string) *Place {
	p := &Place{Ready: make(chan struct{})}
	p.OpenRequest = &connect.OpenRequest{
		CommandLine: "exec /bin/sh -c '" + script + "'", Argv: []string{"/bin/sh", "-c", script},
		Exec: "/bin/sh", ExecArgv: []string{"sh", "-c", script},
		Ready: p.Ready, Log: slog.New(slog.NewTextHandler(p, nil)),
	}
	return p
}

// Write keeps the log.
func (p *Place) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

// Logged returns the log.
func (p *Place) Logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// Open opens a method, and closes it at the end of the test, or where that
// does not come in time.
func Open(t *testing.T, m connect.Method, p *Place) bootstrap.Carrier {
	t.Helper()
	ctx := TestContext(t)
	c, err := m.Open(ctx, p.OpenRequest)
	if err != nil {
		t.Fatal(err)
	}
	context.AfterFunc(ctx, func() { c.Close() })
	t.Cleanup(func() { CloseInTime(t, c) })
	return c
}

// CloseInTime fails the test where Close takes longer than it promises.
func CloseInTime(t *testing.T, c bootstrap.Carrier) {
	t.Helper()
	start := time.Now()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("closing took %v", d)
	}
}

// ReadAll reads to the end; a tool that was ended shows as an error of the
// pipe.
func ReadAll(t *testing.T, c bootstrap.Carrier) string {
	t.Helper()
	b, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	return string(b)
}

// Cause is why a carrier ended.
func Cause(t *testing.T, c bootstrap.Carrier) error {
	t.Helper()
	return c.Cause(TestContext(t))
}

// GroupLives looks for processes of a group that are more than a zombie that
// init has not buried yet.
func GroupLives(group int) bool {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, _ := os.ReadFile(path)
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(fields) > 2 && fields[2] == strconv.Itoa(group) && fields[0] != "Z" && fields[0] != "X" {
			return true
		}
	}
	return false
}

// GroupEnds waits for the end of all processes of a group.
func GroupEnds(t *testing.T, group int) {
	t.Helper()
	const patience = 5 * time.Second
	for end := time.Now().Add(patience); GroupLives(group); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("processes of group %d live %v after the close, want none", group, patience)
			return
		}
	}
}

// ProcessID is the number of the process of a hop that runs a tool.
func ProcessID(c bootstrap.Carrier) int { return c.(interface{ PID() int }).PID() }
