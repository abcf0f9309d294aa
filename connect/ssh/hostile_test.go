//go:build unix

package ssh

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/internal/sshconfig"
	"github.com/mitosis-go/mitosis/connect/internal/sshtest"
)

// rawServer hands every connection to serve, and closes it afterwards.
func rawServer(t *testing.T, serve func(net.Conn)) Login {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		work.Wait()
	})
	return Login{Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, User: "me", NoConfig: true, NoAgent: true,
		KnownHostsFiles: []string{}}
}

func TestSSHClosedPort(t *testing.T) {
	connecttest.CheckLeaks(t)
	s := Login{Host: "127.0.0.1", Port: connecttest.ClosedPort(t), NoConfig: true}
	if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrRefused) || !strings.HasPrefix(err.Error(), s.Label()) {
		t.Fatal(err)
	}
}

func TestSSHServerThatIsNone(t *testing.T) {
	connecttest.CheckLeaks(t)
	for name, c := range map[string]struct {
		serve func(net.Conn)
		want  error
		text  string
	}{
		"http":        {func(c net.Conn) { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }, connect.ErrEOF, "400 Bad Request"},
		"noise":       {func(c net.Conn) { io.WriteString(c, strings.Repeat("\x00\x1bnoise", 1000)); io.Copy(io.Discard, c) }, connect.ErrStart, "no SSH server"},
		"noise lines": {func(c net.Conn) { io.WriteString(c, strings.Repeat("noise\n", 2000)); io.Copy(io.Discard, c) }, connect.ErrStart, "noise"},
		"bad packets": {func(c net.Conn) {
			io.WriteString(c, "SSH-2.0-x\r\n"+strings.Repeat("\xff", 4096))
			io.Copy(io.Discard, c)
		}, connect.ErrStart, "key exchange"},
		"old protocol": {func(c net.Conn) { io.WriteString(c, "SSH-1.5-x\r\n"); io.Copy(io.Discard, c) }, connect.ErrTimeout, "key exchange"},
	} {
		t.Run(name, func(t *testing.T) {
			s := rawServer(t, c.serve)
			s.ConnectTimeout = 2 * time.Second
			_, err := dialSSH(t, s, testEnv("true"))
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || strings.ContainsAny(err.Error(), "\x00\x1b") {
				t.Fatal(err)
			}
		})
	}
}

func TestSSHSilentServer(t *testing.T) {
	connecttest.CheckLeaks(t)
	s := Login{Host: "127.0.0.1", Port: silentPort(t), NoConfig: true, NoAgent: true}
	t.Run("own timeout", func(t *testing.T) {
		s := s
		s.ConnectTimeout = 100 * time.Millisecond
		if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrTimeout) || !strings.Contains(err.Error(), phaseBanner.String()) {
			t.Fatal(err)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := s.openFrom(ctx, testEnv("true"), testPlaces(t))
		if !errors.Is(err, connect.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), phaseBanner.String()) {
			t.Fatal(err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		_, err := s.openFrom(ctx, testEnv("true"), testPlaces(t))
		if !errors.Is(err, context.Canceled) || errors.Is(err, connect.ErrTimeout) {
			t.Fatal(err)
		}
	})
}

// A server beyond its MaxStartups closes without a word, or with a line that
// says so. Both pass.
func TestSSHBusyServer(t *testing.T) {
	connecttest.CheckLeaks(t)
	for _, word := range []string{"", "Exceeded MaxStartups\r\n"} {
		var drops atomic.Int32
		server := sshtest.Start(t, func(s *sshtest.Server) {
			s.OnConn = func(c net.Conn) net.Conn {
				if drops.Add(1) <= 2 {
					io.WriteString(c, word)
					c.Close()
					return nil
				}
				return c
			}
		})
		mustRun(t, methodFor(t, server), nil)
		if drops.Load() != 3 {
			t.Fatal(drops.Load())
		}
	}
}

func TestSSHServerThatAlwaysDrops(t *testing.T) {
	connecttest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		var dials int
		e := testEnv("true")
		e.Dial = func(context.Context, string, string) (net.Conn, error) {
			dials++
			near, far := net.Pipe()
			go func() {
				far.Read(make([]byte, 64))
				far.Close()
			}()
			return near, nil
		}
		s := Login{Host: "h", NoConfig: true, NoAgent: true, KnownHostsFiles: []string{}}
		_, err := s.openFrom(t.Context(), e, sshconfig.Places{User: "u", Home: "/nonexistent"})
		if !errors.Is(err, connect.ErrEOF) || dials != maxDrops {
			t.Fatal(dials, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := s.openFrom(ctx, e, sshconfig.Places{User: "u", Home: "/nonexistent"}); !errors.Is(err, connect.ErrTimeout) && !errors.Is(err, connect.ErrEOF) {
			t.Fatal(err)
		}
	})
}

func TestSSHSessionRefused(t *testing.T) {
	connecttest.CheckLeaks(t)
	s := methodFor(t, sshtest.Start(t, func(s *sshtest.Server) { s.Refuse = "session" }))
	if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrPermission) || !strings.Contains(err.Error(), "not here") {
		t.Fatal(err)
	}
	s = methodFor(t, sshtest.Start(t, func(s *sshtest.Server) { s.RefuseRun = true }))
	if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrPermission) {
		t.Fatal(err)
	}
}

// Whoever writes at once is not told by Open, but by the end of the pipe.
func TestSSHCommandRefusedToOneWhoDoesNotWait(t *testing.T) {
	connecttest.CheckLeaks(t)
	s := methodFor(t, sshtest.Start(t, func(s *sshtest.Server) { s.RefuseRun = true }))
	e := testEnv("true")
	e.Early = true
	c, err := dialSSH(t, s, e)
	if err == nil {
		_, _ = c.Write(make([]byte, 100_000))
		var n int
		n, err = c.Read(make([]byte, 1))
		if err == nil {
			t.Fatalf("%d bytes were read", n)
		}
		err = c.Cause(connecttest.TestContext(t))
		c.Close()
	}
	if !errors.Is(err, connect.ErrPermission) || !strings.Contains(err.Error(), "refused to run") {
		t.Fatal(err)
	}
}

// What is written at once arrives behind the command, whole.
func TestSSHWritesEarly(t *testing.T) {
	connecttest.CheckLeaks(t)
	s := methodFor(t, sshtest.Start(t, nil))
	for range 20 {
		e := testEnv("")
		e.Early = true
		mustRun(t, s, e)
	}
}

func TestSSHNoCommonAlgorithm(t *testing.T) {
	connecttest.CheckLeaks(t)
	s := methodFor(t, sshtest.Start(t, func(s *sshtest.Server) { s.Config.Ciphers = []string{ssh.CipherAES256CTR} }))
	s.Ciphers = []string{ssh.CipherAES128GCM}
	if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrStart) || !strings.Contains(err.Error(), "cipher") {
		t.Fatal(err)
	}
}

func TestSSHCause(t *testing.T) {
	connecttest.CheckLeaks(t)
	s := methodFor(t, sshtest.Start(t, nil))
	for line, want := range map[string]string{
		"echo gone wrong >&2; exit 7": "status 7: gone wrong",
		"exit 1":                      "status 1",
		"true":                        "",
	} {
		c, err := dialSSH(t, s, testEnv(line))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, c)
		err = c.Cause(connecttest.TestContext(t))
		if want == "" && err != nil || want != "" && (!errors.Is(err, connect.ErrEOF) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: the cause is %v, want one with %q", line, err, want)
		}
		c.Close()
	}
}

func TestSSHCloseUnblocks(t *testing.T) {
	connecttest.CheckLeaks(t)
	s := methodFor(t, sshtest.Start(t, nil))
	c, err := dialSSH(t, s, testEnv("sleep 60"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Error(n)
		}
	})
	wg.Go(func() { // more than the window takes
		if _, err := c.Write(make([]byte, 8<<20)); err == nil {
			t.Error("8 MiB went to a command that reads nothing")
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Cause(ctx); err != nil {
		t.Error(err)
	}
	start := time.Now()
	for range 3 {
		c.Close()
	}
	wg.Wait()
	if time.Since(start) > 5*time.Second {
		t.Fatal(time.Since(start))
	}
}

// trippedConn calls trip before the n-th read or write.
type trippedConn struct {
	net.Conn
	count *atomic.Int32
	n     int32
	trip  func(net.Conn)
}

func (c *trippedConn) op() {
	if c.count.Add(1) == c.n {
		c.trip(c.Conn)
	}
}

func (c *trippedConn) Read(p []byte) (int, error)  { c.op(); return c.Conn.Read(p) }
func (c *trippedConn) Write(p []byte) (int, error) { c.op(); return c.Conn.Write(p) }

// Whatever the client is doing at the moment, a cancellation and the loss of
// the connection end it with the right error and leave nothing.
func TestSSHFailsAtEveryStep(t *testing.T) {
	connecttest.CheckLeaks(t)
	server := sshtest.Start(t, sshtest.OnlyPassword("tiger"))
	s := methodFor(t, server)
	s.Password = "tiger"
	for _, cancelled := range []bool{true, false} {
		finished := 0
		for n := int32(1); n < 200 && finished < 3; n++ {
			ctx, cancel := context.WithCancel(t.Context())
			var count atomic.Int32
			e := testEnv("true")
			e.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				var d net.Dialer
				conn, err := d.DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return &trippedConn{conn, &count, n, func(c net.Conn) {
					if cancelled {
						cancel()
					} else {
						c.Close()
					}
				}}, nil
			}
			start := time.Now()
			c, err := s.openFrom(ctx, e, testPlaces(t))
			switch {
			case err == nil:
				c.Close()
				finished++
			case cancelled && !errors.Is(err, context.Canceled):
				t.Errorf("cancelled at operation %d: %v", n, err)
			case !cancelled && !errors.Is(err, net.ErrClosed) && !errors.Is(err, connect.ErrEOF) && !errors.Is(err, connect.ErrStart):
				t.Errorf("lost at operation %d: %v", n, err)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("operation %d took %v", n, d)
			}
			cancel()
		}
		if finished == 0 {
			t.Error("no connection came through")
		}
	}
}

// pipeServer serves one connection over an in-memory pipe whose far end can be
// made deaf: then nothing that the client sends is read any more.
func pipeServer(t *testing.T) (s Login, e *connect.OpenRequest, server *sshtest.Server, deaf func()) {
	server = sshtest.NewServer(t, nil)
	server.Config.NoClientAuth = true
	var silent atomic.Bool
	e = testEnv("sleep 100000")
	e.Dial = func(context.Context, string, string) (net.Conn, error) {
		near, far := bufferedPipe()
		go server.Serve(&deafConn{far, &silent})
		return near, nil
	}
	return Login{Host: "h", User: "u", NoConfig: true, NoAgent: true, HostKeys: connect.InsecureIgnoreHostKeys}, e, server, func() { silent.Store(true) }
}

// bufferedPipe is net.Pipe with unlimited buffers: both ends of SSH begin by writing.
func bufferedPipe() (near, far net.Conn) {
	a, b := newPipeBuffer(), newPipeBuffer()
	return &pipeEnd{in: a, out: b}, &pipeEnd{in: b, out: a}
}

type pipeBuffer struct {
	mu     sync.Mutex
	change *sync.Cond
	data   []byte
	closed bool
}

func newPipeBuffer() *pipeBuffer {
	b := &pipeBuffer{}
	b.change = sync.NewCond(&b.mu)
	return b
}

type pipeEnd struct {
	net.Conn
	in, out *pipeBuffer
}

func (e *pipeEnd) RemoteAddr() net.Addr { return channelAddr("pipe") }
func (e *pipeEnd) LocalAddr() net.Addr  { return channelAddr("pipe") }

func (e *pipeEnd) Read(p []byte) (int, error) {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	for len(e.in.data) == 0 && !e.in.closed {
		e.in.change.Wait()
	}
	if len(e.in.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, e.in.data)
	e.in.data = e.in.data[n:]
	return n, nil
}

func (e *pipeEnd) Write(p []byte) (int, error) {
	e.out.mu.Lock()
	defer e.out.mu.Unlock()
	if e.out.closed {
		return 0, io.ErrClosedPipe
	}
	e.out.data = append(e.out.data, p...)
	e.out.change.Broadcast()
	return len(p), nil
}

func (e *pipeEnd) Close() error {
	for _, b := range []*pipeBuffer{e.in, e.out} {
		b.mu.Lock()
		b.closed = true
		b.change.Broadcast()
		b.mu.Unlock()
	}
	return nil
}

type deafConn struct {
	net.Conn
	silent *atomic.Bool
}

func (c *deafConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.silent.Load() {
			return n, err
		}
	}
}

func (c *deafConn) Write(p []byte) (int, error) {
	if c.silent.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func TestSSHKeepalive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e, server, deaf := pipeServer(t)
		server.Pretend = true
		c, err := s.openFrom(t.Context(), e, sshconfig.Places{User: "u", Home: "/nonexistent"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Minute + time.Second)
		server.Mu.Lock()
		asked := server.Asked
		server.Mu.Unlock()
		// Every answer counts as a sign of life, so every other interval asks.
		if asked < 15 || asked > 45 {
			t.Errorf("asked %d times in ten minutes", asked)
		}
		deaf()
		start := time.Now()
		c.Read(make([]byte, 1))
		if took := time.Since(start); took > 90*time.Second {
			t.Errorf("noticed after %v", took)
		}
		if err := c.Cause(t.Context()); !errors.Is(err, connect.ErrTimeout) {
			t.Error(err)
		}
		c.Close()
		server.Stop()
	})
}
