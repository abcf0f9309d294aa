//go:build linux

package integration

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// orders describe the tree that a master in a process of its own makes; see TestActAsMaster.
type orders struct {
	Family hops
	All    []ssh.Login // of testdata/many: connected side by side
}

const ordersVariable = "MITOSIS_TEST_ORDERS"

// TestActAsMaster is no test. Other tests execute it in a host as a master that they can kill.
// It makes the tree that the environment describes.
func TestActAsMaster(t *testing.T) {
	text := os.Getenv(ordersVariable)
	if text == "" {
		t.Skip("is executed by other tests")
	}
	var o orders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	self, err := contexts.Start(ctx, &contexts.Config{PackedDir: nothingKept})
	if err != nil {
		t.Fatal(err)
	}
	// A child on the master's own host has no tool in between.
	if _, err := misbehave.Call(ctx, child(t, self, local.Child{}), struct{}{}); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := o.Family.raise(ctx, self); err != nil {
		t.Fatal(err)
	}
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

// A separateMaster is a master in a process of its own, which can be killed.
type separateMaster struct {
	cmd   *lab.Cmd
	ready chan error // gets one value: nil, or the reason for which the master was never ready
}

// startMaster executes a master on a host.
func startMaster(t *testing.T, host *lab.Running, o orders, argv ...string) *separateMaster {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	argv = append([]string{"/usr/bin/env", ordersVariable + "=" + string(text)}, argv...)
	m := &separateMaster{
		cmd:   host.CommandAs(t.Context(), "deploy", argv...),
		ready: make(chan error, 1),
	}
	if _, err := m.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	m.cmd.Stderr = m.cmd.Stdout
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		var said strings.Builder
		told := false
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if lines.Text() == "ready" {
				m.ready <- nil
				told = true
			}
			fmt.Fprintln(&said, lines.Text())
		}
		if !told {
			m.ready <- fmt.Errorf("the master has not made its tree, and printed: %s", said.String())
		}
	}()
	return m
}

// await waits until the master has made the tree of its orders.
func (m *separateMaster) await(t *testing.T) {
	t.Helper()
	select {
	case err := <-m.ready:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatalf("after %v the master has not made its tree", patience)
	}
}

// end sends a signal and waits for the master's end.
func (m *separateMaster) end(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := m.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	_ = m.cmd.Wait()
}

// clientHost is a host from which family members and others can be reached.
func clientHost(t *testing.T, key lab.ClientKey, binds []string, servers ...*lab.Running) *lab.Running {
	t.Helper()
	var known strings.Builder
	for _, s := range servers {
		known.WriteString(s.KnownHosts())
	}
	return lab.Start(t, lab.Host{
		Users: []lab.User{{Name: "deploy"}},
		Binds: binds,
		Files: map[string]string{keyFile: key.Private, knownFile: known.String()},
	})
}
