//go:build linux

package broker_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	_ "github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/broker"
	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
)

var eventually = treetest.Eventually

// patience bounds each wait of a test.
const patience = 40 * time.Second

// served is a broker in this process.
type served struct {
	t      testing.TB
	socket string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // of Serve; set before done is closed
}

// socketIn returns the path of a socket for a test.
func socketIn(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mb") // t.TempDir has long names, and sockets have not
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "broker.sock")
}

// serve starts a broker, which ends with the test.
func serve(t testing.TB, cfg *broker.Config) *served {
	t.Helper()
	var c broker.Config
	if cfg != nil {
		c = *cfg
	}
	if c.Socket == "" {
		c.Socket = socketIn(t)
	}
	if c.Tree == nil {
		c.Tree = &contexts.Config{Log: slog.New(slog.DiscardHandler)}
	}
	ready := make(chan struct{})
	c.Ready = func(string) { close(ready) }
	ctx, cancel := context.WithCancel(context.Background())
	s := &served{t: t, socket: c.Socket, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.err = broker.Serve(ctx, &c)
	}()
	select {
	case <-ready:
	case <-s.done:
		t.Fatalf("the broker did not start: %v", s.err)
	}
	t.Cleanup(func() {
		cancel()
		s.wait("its ctx has ended")
	})
	return s
}

// wait waits for the end of the broker, and returns the error of Serve.
func (s *served) wait(after string) error {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(patience):
		stacks := make([]byte, 1<<20)
		s.t.Fatalf("the broker has not ended although %s:\n%s", after, stacks[:runtime.Stack(stacks, true)])
	}
	return s.err
}

// header is a header of a client; tests may send nonsense.
type header map[string]any

// text is a header as it goes over the socket.
type text string

// heard is a frame of the broker.
type heard struct {
	wire.BrokerFrame
	Status json.RawMessage `json:"status"`
	Signal string          `json:"signal"`
	body   []byte
	raw    []byte // the header
}

func (f *heard) String() string { return fmt.Sprintf("%.500s +%d bytes", f.raw, len(f.body)) }

// final reports whether it is the last frame of a request.
func (f *heard) final() bool { return f.OK != nil }

// kind returns the kind of the error, "" for success.
func (f *heard) kind() string {
	if f.Error == nil {
		return ""
	}
	return f.Error.Kind
}

var (
	wireGreeting = wire.Frame{Header: header{"mitosis": "client", "version": 1}}
	wireStatus   = wire.Frame{Header: header{"op": "status"}}
)

// soon is a deadline for what may never come.
func soon() time.Time { return time.Now().Add(100 * time.Millisecond) }

func frameOf(h header, body string) wire.Frame { return wire.Frame{Header: h, Body: []byte(body)} }

func hops(t testing.TB, path string) []connect.Method {
	t.Helper()
	all, err := connect.ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// conn is a client that speaks the protocol frame by frame.
type conn struct {
	t   testing.TB
	net *net.UnixConn
	in  *wire.Reader
	out *wire.Writer
}

// connect connects without a greeting.
func (s *served) connect() *conn {
	s.t.Helper()
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	s.t.Cleanup(func() { c.Close() })
	return &conn{s.t, c.(*net.UnixConn), wire.NewReader(c), wire.NewWriter(c)}
}

// dial connects and exchanges the greetings.
func (s *served) dial() *conn {
	s.t.Helper()
	c := s.connect()
	c.send(header{"mitosis": "client", "version": 1, "name": s.t.Name()}, nil)
	if f := c.next(); string(f.raw) == "" || f.final() {
		s.t.Fatalf("%v, want the broker's greeting", f)
	}
	return c
}

func (c *conn) send(h any, body []byte) {
	c.t.Helper()
	if h, ok := h.(text); ok {
		frame := binary.BigEndian.AppendUint32(nil, uint32(len(h)))
		frame = binary.BigEndian.AppendUint32(frame, uint32(len(body)))
		if _, err := c.net.Write(slices.Concat(frame, []byte(h), body)); err != nil {
			c.t.Fatalf("sending %.100q: %v", h, err)
		}
		return
	}
	if err := c.out.Write(wire.Frame{Header: h, Body: body}); err != nil {
		c.t.Fatalf("sending %v: %v", h, err)
	}
}

// read reads a frame.
func (c *conn) read() (*heard, error) {
	var raw json.RawMessage
	body, err := c.in.Next(&raw, wire.MaxHeader, wire.MaxBody)
	if err != nil {
		return nil, err
	}
	f := &heard{body: append([]byte(nil), body...), raw: raw}
	return f, json.Unmarshal(raw, f)
}

// next returns the next frame.
func (c *conn) next() *heard {
	c.t.Helper()
	f, err := c.read()
	if err != nil {
		c.t.Fatalf("no further frame: %v", err)
	}
	return f
}

// wantEnd fails the test unless the broker has closed the connection.
func (c *conn) wantEnd(why string) {
	c.t.Helper()
	f, err := c.read()
	if err == nil {
		c.t.Errorf("%s: %v, want the end of the connection", why, f)
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Errorf("%s: the connection has not ended", why)
	}
}

// answer is all that the broker has sent for a request.
type answer struct {
	*heard  // the last frame
	streams map[string]string
	ended   map[string]bool
	frames  []*heard // that are neither of a stream nor the last
}

// finish reads up to the last frame of a request.
func (c *conn) finish() *answer {
	c.t.Helper()
	a, err := c.readAnswer()
	if err != nil {
		c.t.Fatalf("the request has no last frame: %v", err)
	}
	return a
}

func (c *conn) readAnswer() (*answer, error) {
	a := &answer{streams: make(map[string]string), ended: make(map[string]bool)}
	streams := make(map[string][]byte)
	for {
		f, err := c.read()
		if err != nil {
			return nil, err
		}
		switch {
		case f.final():
			a.heard = f
			for name, b := range streams {
				a.streams[name] = string(b)
			}
			return a, nil
		case f.Stream != "" && f.Credit == 0:
			if a.ended[f.Stream] {
				return nil, fmt.Errorf("a frame of %s came after its end: %v", f.Stream, f)
			}
			streams[f.Stream] = append(streams[f.Stream], f.body...)
			a.ended[f.Stream] = f.End
		default:
			a.frames = append(a.frames, f)
		}
	}
}

// ask makes a request and waits for its end.
func (c *conn) ask(h any, body ...byte) *answer {
	c.t.Helper()
	c.send(h, body)
	return c.finish()
}

// want fails the test unless the request has ended so; "" is success, and a bar stands between kinds.
func (a *answer) want(t testing.TB, kind string) *answer {
	t.Helper()
	a.wantKind(t, kind)
	return a
}

// wantKind fails the test unless the last frame of a request has one of these kinds.
func (f *heard) wantKind(t testing.TB, kinds string) {
	t.Helper()
	if !slices.Contains(strings.Split(kinds, "|"), f.kind()) || *f.OK != (f.kind() == "") {
		t.Errorf("%v, want a last frame of kind %q", f, kinds)
	}
}

// run runs a shell script at a local hop and returns its standard output.
func (c *conn) run(script string) string {
	c.t.Helper()
	a := c.ask(sh(script))
	if a.kind() != "" || *a.Code != 0 {
		c.t.Errorf("%s: %v, stderr %q, want that it succeeds", script, a.heard, a.streams["stderr"])
	}
	return a.streams["stdout"]
}

// sh is a request that runs a shell script at a local hop.
func sh(script string, more ...header) header {
	h := header{"op": "exec", "path": "local", "argv": []string{"sh", "-c", script}}
	for _, m := range more {
		for k, v := range m {
			h[k] = v
		}
	}
	return h
}

// status returns what the broker tells of itself.
func (c *conn) status() *broker.Status {
	c.t.Helper()
	s, err := c.readStatus()
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

func (c *conn) readStatus() (*broker.Status, error) {
	if err := c.out.Write(wireStatus); err != nil {
		return nil, err
	}
	a, err := c.readAnswer()
	if err != nil {
		return nil, err
	}
	s := new(broker.Status)
	return s, json.Unmarshal(a.Status, s)
}

// until reads frames until one has the property; it returns that one.
func (c *conn) until(why string, is func(*heard) bool) *heard {
	c.t.Helper()
	for {
		f := c.next()
		if is(f) {
			return f
		}
		if f.final() {
			c.t.Fatalf("%v, want %s first", f, why)
		}
	}
}

// started waits until a command runs, and returns its process ID.
func (c *conn) started() int {
	c.t.Helper()
	return c.until("that it has started", func(f *heard) bool { return f.Event == "started" }).PID
}

// said waits until a stream has given so many bytes.
func (c *conn) said(stream string, bytes int) string {
	c.t.Helper()
	text := ""
	for len(text) < bytes {
		f := c.until("output", func(f *heard) bool { return f.Stream == stream && f.Credit == 0 })
		text += string(f.body)
	}
	return text
}

// gone waits until a process is gone, for so long.
func gone(t testing.TB, pid int, within time.Duration, why string) {
	t.Helper()
	begin := time.Now()
	eventually(t, fmt.Sprintf("process %d is gone: %s", pid, why), func() bool { return !alive(pid) })
	if took := time.Since(begin); took > within {
		t.Errorf("%s: process %d was there for %v, want %v at most", why, pid, took, within)
	}
}
