//go:build linux

package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts/broker/client"
	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
)

// client connects a client in Go.
func (s *served) client() *client.Client {
	s.t.Helper()
	c, err := client.Dial(s.t.Context(), s.socket)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// endless is an input that does not end.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// Nothing of a command gets into the next one: not its input, not its cancel.
func TestClientRequestsAreApart(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.client()
	for i := range 300 {
		ctx, cancel := context.WithCancel(t.Context())
		cmd := &client.Command{Path: "local", Argv: []string{"true"}, Stdin: endless{}}
		if i%2 == 0 {
			cmd.Started = func(int) { go cancel() }
		}
		if _, err := c.Run(ctx, cmd); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("command %d: %v", i, err)
		}
		cancel()
		var out bytes.Buffer
		cmd = &client.Command{Path: "local", Argv: []string{"cat"}, Stdin: strings.NewReader(fmt.Sprint(i)), Stdout: &out}
		if _, err := c.Run(t.Context(), cmd); err != nil || out.String() != fmt.Sprint(i) {
			t.Fatalf("the command behind command %d: %q, %v", i, out.String(), err)
		}
	}
}

func TestClient(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.client()
	ctx := t.Context()
	var out, errs bytes.Buffer
	pid := 0
	end, err := c.Run(ctx, &client.Command{
		Path: "local", Argv: []string{"sh", "-c", "cat; echo err >&2; exit 5"}, Stdin: io.LimitReader(endless{}, 3<<20), Stdout: &out, Stderr: &errs,
		Started: func(p int) { pid = p },
	})
	if err != nil || *end != (client.End{Code: 5, Status: 5}) || out.Len() != 3<<20 || errs.String() != "err\n" || pid == 0 {
		t.Errorf("%+v, %v, %d bytes, %q; want 5, 3 MiB and err", end, err, out.Len(), errs.String())
	}
	end, err = c.Run(ctx, &client.Command{Path: "local", Argv: []string{"sh", "-c", "kill -9 $$"}})
	if err != nil || *end != (client.End{Code: -1, Signal: "KILL", Status: 137}) {
		t.Errorf("%+v, %v; want the end by KILL", end, err)
	}
	_, err = c.Run(ctx, &client.Command{Path: "local", Argv: []string{"no-such-program"}})
	if e, ok := errors.AsType[*client.Error](err); !ok || e.Kind != "not_found" {
		t.Errorf("%v, want that there is no such program", err)
	}
	// An input that fails must not be taken for a whole one.
	_, err = c.Run(ctx, &client.Command{Path: "local", Argv: []string{"cat"}, Stdin: io.MultiReader(strings.NewReader("half"), failing{})})
	if err == nil {
		t.Error("the input has failed, and the command has not")
	}
	// Nor an output that nobody takes.
	_, err = c.Run(ctx, &client.Command{Path: "local", Argv: []string{"cat", "/dev/zero"}, Stdout: failing{}})
	if !errors.Is(err, errFailing) {
		t.Errorf("%v, want the error of the output", err)
	}
	cmd := &client.Command{Path: "local", Argv: []string{"sleep", "1000"}}
	cmd.Started = func(int) {
		if err := cmd.Signal("TERM", false); err != nil {
			t.Error(err)
		}
	}
	if end, err = c.Run(ctx, cmd); err != nil || end.Signal != "TERM" {
		t.Errorf("%+v, %v; want the end by TERM", end, err)
	}
	if err := cmd.Signal("TERM", false); !errors.Is(err, client.ErrNotStarted) {
		t.Errorf("a signal for a command that has ended: %v", err)
	}
	st, err := c.Status(ctx)
	if err != nil || st.Socket != s.socket || len(st.Connections) != 1 || len(st.Clients) != 1 {
		t.Errorf("%+v, %v; want one connection and one client", st, err)
	}
	if err := c.Reset(ctx, "local"); err != nil {
		t.Error(err)
	}
}

var errFailing = errors.New("it fails")

type failing struct{}

func (failing) Read([]byte) (int, error)  { return 0, errFailing }
func (failing) Write([]byte) (int, error) { return 0, errFailing }

// A broker that dies, or says nonsense, is an error at once.
func TestClientOfABadBroker(t *testing.T) {
	t.Parallel()
	socket := socketIn(t)
	if _, err := client.Dial(t.Context(), socket); !errors.Is(err, client.ErrNotRunning) {
		t.Errorf("%v, want that none is running", err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	greeting := header{"mitosis": "broker", "version": 1}
	for name, frames := range map[string][]wire.Frame{
		"nothing":        nil,
		"busy":           {{Header: header{"ok": false, "error": header{"kind": "busy", "message": "all taken"}}}},
		"a new version":  {{Header: header{"mitosis": "broker", "version": 2}}},
		"no broker":      {{Header: header{"mitosis": "client", "version": 1}}},
		"dies":           {{Header: greeting}},
		"dies in output": {{Header: greeting}, {Header: header{"event": "started", "pid": 1}}, {Header: header{"stream": "stdout"}, Body: []byte("x")}},
	} {
		var serving sync.WaitGroup
		serving.Go(func() {
			c, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			in := wire.NewReader(c)
			for i := range 2 {
				if len(frames) > i {
					_ = wire.NewWriter(c).Write(frames[i])
				}
				if i == 0 && len(frames) > 0 && frames[0].Header.(header)["mitosis"] != "broker" {
					return
				}
				if _, err := in.Next(new(map[string]any), wire.MaxHeader, wire.MaxBody); err != nil || len(frames) == 0 {
					return
				}
			}
		})
		c, err := client.Dial(t.Context(), socket)
		if (name == "dies" || name == "dies in output") != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if e, ok := errors.AsType[*client.Error](err); name == "busy" && (!ok || e.Kind != "busy") {
			t.Errorf("%s: %v, want the broker's reason", name, err)
		}
		if c != nil {
			end, err := c.Run(t.Context(), &client.Command{Path: "local", Argv: []string{"true"}, Stdin: endless{}})
			if err == nil || end != nil {
				t.Errorf("%s: %+v and no error", name, end)
			}
			c.Close()
		}
		serving.Wait()
	}
	// One that says nothing.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.Dial(ctx, socket); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a broker that says nothing: %v, want the end of ctx", err)
	}
}
